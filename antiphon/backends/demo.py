"""What is known about the model that is in the box (``antiphon/models``)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

ABOUT = (
    "A demonstration model of a few megabytes: it shows that everything works, "
    "inside the kinds of sentences it was trained on; it knows nothing. "
    "Connect a larger model for real answers."
)

THREADS = 1
"""More threads only make so small a model slower."""

TEMPERATURE = 0.0
"""When the caller asks for none: at 1 it talks nonsense."""

OUTPUT_TOKENS_MAX = 1024
"""When the caller sets no limit: on unfamiliar input it can repeat itself without end, and the
answer then ends as ``incomplete``."""


def path() -> Path:
    """Where the file is; it may be missing from a build that left it out."""
    return Path(str(files("antiphon.models").joinpath("demo-antiphon.gguf")))
