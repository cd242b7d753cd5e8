"""The verdicts, from figures made up so that each outcome is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.__main__ import doubts, notes
from bench.goals import GOALS, Goal, Row, goal_table, rows, verdict
from bench.report import cpu_us, middle, per_cpu_second, ratio, rival_table
from tests.bench.findings import findings, one_round, sample


def by_key() -> dict[str, Row]:
    return {row.key: row for row in rows(findings())}


@pytest.mark.requirement("bench:goals:table")
@pytest.mark.parametrize(
    ("figure", "outcome"), [(0.4, "stretch"), (0.39, "goal"), (0.25, "goal"), (0.249, "open")]
)
def test_a_larger_figure_is_better_where_the_goal_says_so(figure: float, outcome: str) -> None:
    more = Goal("k", "m", 0.25, 0.40, more=True)
    assert verdict(more, figure) == outcome
    less = Goal("k", "m", -0.25, -0.40, more=False)
    assert verdict(less, -figure) == outcome


@pytest.mark.requirement("bench:goals:table")
def test_each_goal_has_its_figure_and_verdict() -> None:
    found = by_key()
    assert list(found) == [goal.key for goal in GOALS]
    figures = {key: (row.figure, row.verdict) for key, row in found.items()}
    assert figures == {
        "plain": (pytest.approx((20 / 60 + 10 / 25) / 2), "goal"),
        "stored": (pytest.approx((20 / 120 + 10 / 80) / 2), "goal"),
        "postgres": (pytest.approx((20 / 100 + 10 / 60) / 2), "goal"),
        "postgres_get": (pytest.approx((20 / 100 + 10 / 60) / 2), "goal"),
        "paced": (pytest.approx(1.7), "goal"),
        "paced_stored": (2.0, "goal"),
        "burst": (pytest.approx((1e6 / 3.5 + 1e6 / 5) / 2), "stretch"),
        "burst_stored": (200_000, "stretch"),
        "latency": (2.0, "goal"),
        "state": (2.0, "goal"),
        "python": (80.0, "goal"),
        "turn_cpu": (3.0, "stretch"),
        "turn_bytes": (pytest.approx(1.1), "goal"),
        "queries_cold": (2, "stretch"),
        "queries_hit": (0, "stretch"),
        "idle": (pytest.approx(14 / 18), "stretch"),
        "base": (43.0, "stretch"),
        "ready": (pytest.approx(0.3), "stretch"),
        "get": (pytest.approx((20 / 120 + 10 / 80) / 2), "open"),
        "in_flight": (0.8, "goal"),
    }


@pytest.mark.requirement("bench:goals:table")
def test_the_printed_table_has_a_line_for_each_goal() -> None:
    lines = goal_table(rows(findings())).splitlines()
    assert lines[0].split() == ["metric", "figure", "goal", "stretch", "verdict"]
    assert len(lines) == 2 + len(GOALS)
    (state,) = [line for line in lines if line.startswith("stored req/s over agentic")]
    assert "2 x (smg, by the clock)" in state and "≥ 1 x" in state and state.endswith("goal")


@pytest.mark.requirement("bench:goals:doubt")
def test_doubtful_samples_give_no_figure_and_are_named() -> None:
    found = findings()
    for taken in found.samples["json-64"]:
        taken["antiphon"] = replace(taken["antiphon"], fault="3 errors")
    plain = next(row for row in rows(found) if row.key == "plain")
    assert (plain.figure, plain.verdict) == (None, "not measured")
    assert doubts(found) == ["json-64, antiphon: 3 errors"]


@pytest.mark.requirement("bench:goals:doubt")
def test_without_nginx_no_share_is_claimed() -> None:
    found = findings()
    found.reference = "direct"
    found.weights.pop("nginx")
    unmeasured = {row.key for row in rows(found) if row.verdict == "not measured"}
    assert unmeasured == {
        "plain",
        "stored",
        "postgres",
        "postgres_get",
        "paced",
        "paced_stored",
        "latency",
        "idle",
        "get",
        "in_flight",
    }


@pytest.mark.requirement("bench:rivals:data")
def test_being_ahead_of_an_absent_rival_is_no_figure() -> None:
    found = findings()
    found.duels["smg"].absent, found.duels["smg"].samples = "not installed", {}
    state = next(row for row in rows(found) if row.key == "state")
    assert (state.figure, state.note) == (None, "smg was not measured")
    assert "ABSENT  smg 1.0.0: not installed" in notes(found)


@pytest.mark.requirement("bench:rivals:data")
def test_a_rival_that_fails_is_shown_with_the_reason_and_is_no_doubt_about_us() -> None:
    found = findings()
    broken = sample(0, fault="200 errors, first: refused (status 500)")
    found.duels["ogx"].samples["json-64"][0]["ogx"] = replace(broken, cpu_us_per_unit=None)
    assert "FAILED" in next(
        line for line in rival_table(found.duels).splitlines() if line.startswith("ogx")
    )
    assert "FAILED  ogx, json-64: 200 errors, first: refused (status 500)" in notes(found)
    assert doubts(found) == []


@pytest.mark.requirement("bench:ratios")
def test_ratios_are_of_one_round_and_the_median_of_all() -> None:
    rounds = [one_round(10, 20, 40), one_round(100, 300, 1), one_round(10, 40, 40)]
    assert ratio(rounds, cpu_us, "antiphon", "nginx") == 3.0
    assert ratio(rounds, per_cpu_second, "antiphon", "nginx") == pytest.approx(1 / 3)
    assert middle(rounds, cpu_us, "antiphon") == 40
    assert ratio(rounds, cpu_us, "somebody", "nginx") is None
