"""Windows of conversations, shares of a profile, and the charts."""

from __future__ import annotations

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.conversation import MARKS, SAMPLES, growth, shape
from bench.goals import rows
from bench.plots import CHARTS, draw
from bench.report import all_metrics, as_json
from bench.stages import read_stages, shares, stage_of
from bench.workloads import WORKLOADS
from tests.bench.findings import findings

FILE_BYTES_MAX = 60_000


@pytest.mark.requirement("bench:conversation:windows")
def test_each_window_has_as_many_turns_round_its_mark() -> None:
    for mark in MARKS:
        chains, turns = shape(mark, SAMPLES)
        assert chains * len(turns) == SAMPLES
        assert mark in turns
        assert mark < 100 or abs(turns.start + turns.stop - 1 - 2 * mark) <= 1


@pytest.mark.requirement("bench:conversation:windows")
def test_growth_is_of_turn_1000_over_turn_10_or_nothing() -> None:
    turns = findings().turns
    assert growth(turns) == {"cpu": 3.0, "written": pytest.approx(1.1)}
    assert growth(turns[:2]) == {"cpu": None, "written": None}


@pytest.mark.requirement("bench:stages")
def test_a_sample_counts_for_its_innermost_known_file() -> None:
    stages = [("loop", ["asyncio/*"]), ("server", ["antiphon/server/*.py"])]
    lines = [
        "main (x.py);run (asyncio/runners.py);read (antiphon/server/hot.py) 3",
        "main (x.py);run (asyncio/runners.py);read (antiphon/server/hot.py);loads (json/a.py) 1",
        "main (x.py);run (asyncio/runners.py) 2",
        "main (x.py) 2",
    ]
    found = shares(lines, stages, main_share=1.0)
    assert found == {"server": 0.5, "loop": 0.25, "elsewhere": 0.25}


@pytest.mark.requirement("bench:stages")
def test_waiting_threads_get_no_more_than_their_cpu_time() -> None:
    lines = [
        "main (x.py);save (antiphon/store/commits.py) 90",
        "Thread._bootstrap (threading.py);flush (antiphon/store/sqlite_file.py) 910",
        "",
    ]
    stages = [("queue", ["antiphon/store/commits.py"]), ("disk", ["antiphon/store/*.py"])]
    assert shares(lines, stages, main_share=0.9) == pytest.approx({"queue": 0.9, "disk": 0.1})


@pytest.mark.requirement("bench:stages")
def test_every_file_of_the_server_has_a_stage() -> None:
    stages = read_stages()
    root = Path(__file__).parent.parent.parent
    files = [path.relative_to(root).as_posix() for path in (root / "antiphon").rglob("*.py")]
    assert [file for file in files if stage_of(file, stages) is None] == []
    assert stage_of("venv/site-packages/uvloop/loop.pyx", stages) is not None
    assert stage_of("json/decoder.py", stages) is None


def result() -> dict[str, Any]:
    """The made-up run, as it stands in a results file."""
    found = findings()
    workloads = [workload for workload in WORKLOADS if workload.name in found.samples]
    metrics = all_metrics(workloads, found.samples, found.weights, found.reference)
    return {
        "schema": 2,
        "reference": found.reference,
        "goals": [asdict(row) for row in rows(found)],
        "idle": {name: asdict(weight) for name, weight in found.weights.items()},
        "conversation": [asdict(each) for each in found.turns],
        "metrics": [asdict(each) for each in metrics],
        "samples": as_json(found.samples),
        "rivals": {name: asdict(each) for name, each in found.duels.items()},
    }


@pytest.mark.requirement("bench:plots")
def test_charts_are_small_and_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed here: make bench-tools")
    first = draw(result(), tmp_path / "one")
    second = draw(copy.deepcopy(result()), tmp_path / "two")
    assert [path.name for path in first] == [f"{chart.__name__}.svg" for chart in CHARTS]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.stat().st_size < FILE_BYTES_MAX
        assert "<dc:date>" not in one.read_text()


@pytest.mark.requirement("bench:plots")
def test_a_run_without_rivals_or_nginx_leaves_charts_out(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed here: make bench-tools")
    some = result() | {"rivals": {}, "reference": "direct", "conversation": []}
    names = {path.stem for path in draw(some, tmp_path)}
    assert names == {"cost", "latency", "memory"}
