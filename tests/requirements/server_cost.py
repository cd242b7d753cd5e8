"""What we promise about the cost of a request."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "bench:check:fails": Requirement(
        source="issue (speed)",
        behaviour="The check of instruction counts fails when a case exceeds its budget.",
    ),
    "bench:check:not-judged": Requirement(
        source="issue (speed)",
        behaviour="Where nothing can be counted or judged, the check says so and does not fail.",
    ),
}
