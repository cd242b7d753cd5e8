"""What a run asks, and what it says about where it was made."""

from __future__ import annotations

import json
import platform
import sys

import pytest

from bench import machine
from bench.subjects import messages
from bench.workloads import MODELS, QUICK, WORKLOADS


@pytest.mark.requirement("bench:workloads")
def test_the_quick_mode_asks_all_the_goals_need() -> None:
    quick = [workload for workload in WORKLOADS if not workload.full_only]
    assert {w.connections for w in quick if w.name.startswith("json-")} >= {1, 16, 64, 500}
    assert {w.chunks for w in quick if w.stream and not w.paced} == {20, 200, 2000}
    assert {w.chunks for w in quick if w.paced} == {20, 200, 2000}
    assert {w.answer_seconds for w in quick} == {0, 0.2, 2, 20}
    assert {w.input_bytes for w in quick} == {0, 100_000, 5_000_000}
    assert QUICK.idle_streams[1] == 1000 and QUICK.turns == 1000
    assert any(w.traced for w in quick) and any(w.get_stored for w in quick)
    assert {w.model for w in WORKLOADS} <= set(MODELS)


@pytest.mark.requirement("bench:workloads")
@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_a_large_input_is_as_large_as_its_name_says(size: int) -> None:
    assert size <= len(json.dumps(messages(size))) <= size * 1.1


@pytest.mark.requirement("bench:results:where")
def test_a_result_tells_how_its_interpreter_was_built() -> None:
    found = machine.python([sys.executable, "-m", "antiphon"])
    assert found["version"] == platform.python_version()
    assert found["optimised"] == ("--enable-optimizations" in found["flags"] or None)
    assert found["loop_ms"] > 0
    assert machine.python(["false"]) == {"version": "unknown", "optimised": None}


@pytest.mark.requirement("bench:results:where")
def test_a_result_names_its_commit() -> None:
    short, _, more = machine.commit().partition("-")
    assert more in ("", "dirty")
    assert short == "unknown" or set(short) <= set("0123456789abcdef")
