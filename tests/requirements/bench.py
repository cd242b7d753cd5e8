"""What we promise about the benchmark, whose verdicts others are to believe."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "bench:goals:table": Requirement(
        source="issue 3",
        behaviour="The table names every goal, its figure and a verdict: stretch, goal or open.",
    ),
    "bench:goals:doubt": Requirement(
        source="issue 3",
        behaviour="A missing or doubtful figure is not measured, never met; it is reported.",
    ),
    "bench:ratios": Requirement(
        source="perf.md",
        behaviour="A ratio is taken within a round, then the median of the rounds.",
    ),
    "bench:rivals:data": Requirement(
        source="issue 3",
        behaviour="Rivals are pinned exactly, as data; one that is absent or fails is shown so.",
    ),
    "bench:load:heads": Requirement(
        source="ours",
        behaviour="Requests carry the headers of real clients, and a new traceparent if asked.",
    ),
    "bench:mock:dialects": Requirement(
        source="ours",
        behaviour="The model server tells the same text in both APIs, under a new id each time.",
    ),
    "bench:conversation:windows": Requirement(
        source="issue 3",
        behaviour="A turn's cost is a mean round it, of a chain that did carry its history.",
    ),
    "bench:stages": Requirement(
        source="issue 3",
        behaviour="Profile samples are summed by stage and scaled to the CPU of their threads.",
    ),
    "bench:results:where": Requirement(
        source="issue 3",
        behaviour="A result names its commit, and how the interpreter was built.",
    ),
    "bench:workloads": Requirement(
        source="issue 3",
        behaviour="Every load the issue names is run, also in the quick mode.",
    ),
    "bench:plots": Requirement(
        source="issue 3",
        behaviour="Charts of a results file are small, and the same each time they are drawn.",
    ),
}
