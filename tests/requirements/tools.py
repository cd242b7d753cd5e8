"""Tools that the server runs."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "tools:function:called": Requirement(
        "ours", "A function is asked with the arguments as written, a key and its bearer token."
    ),
    "tools:function:failures": Requirement(
        "ours", "A failing function is told in words that hold no secret."
    ),
    "tools:function:patience": Requirement("ours", "A silent function fails in time."),
    "tools:function:settings": Requirement("ours", "A function without a good address is refused."),
}
