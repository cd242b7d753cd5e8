"""Whether the engine can run is told before it is tried."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from antiphon.backends import demo, llamacpp_probe
from antiphon.backends.llamacpp import LlamaCpp
from antiphon.backends.llamacpp_probe import probe, threads_available
from antiphon.config import LlamaCppSettings
from antiphon.errors import RemoteError
from tests.engine.turns import asking

ALL = "flags\t\t: fpu sse4_2 avx avx2 fma f16c bmi2\n"


@pytest.fixture
def on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(llamacpp_probe, "find_spec", lambda name: name)
    monkeypatch.setattr(llamacpp_probe, "_has_openmp", lambda: True)


@pytest.mark.requirement("engine:probe:processor")
def test_an_old_processor_is_recognised_before_the_engine_dies_on_it(
    on_x86: None, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(ALL, encoding="ascii")
    assert probe(cpuinfo=cpuinfo).ok
    cpuinfo.write_text(ALL.replace(" avx2", "").replace(" bmi2", ""), encoding="ascii")
    found = probe(cpuinfo=cpuinfo)
    assert not found.ok and "AVX2 BMI2" in found.detail and "--upstream" in found.remedy


def test_a_processor_that_cannot_be_looked_at_is_given_a_try(on_x86: None, tmp_path: Path) -> None:
    assert probe(cpuinfo=tmp_path / "missing").ok


@pytest.mark.requirement("engine:probe:package")
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    on_x86: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp_probe, "find_spec", lambda name: None)
    found = probe()
    assert not found.ok and "xllamacpp is not installed" in found.detail
    assert "pip install '.[local]'" in found.remedy and "--upstream" in found.remedy


def test_a_missing_system_library_is_named_with_its_packages(
    on_x86: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(llamacpp_probe, "_has_openmp", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")
    found = probe(cpuinfo=tmp_path / "missing")
    assert "libgomp.so.1" in found.detail and "libgomp1" in found.remedy
    assert found.sentence.startswith("The system library")


@pytest.mark.requirement("engine:threads:leave_one")
@pytest.mark.parametrize(
    ("files", "threads"),
    [
        ({}, 7),
        ({"cpu.max": "max 100000\n"}, 7),
        ({"cpu.max": "400000 100000\n"}, 3),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "broken\n"}, 7),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 7),
    ],
)
def test_threads_are_the_cores_we_may_use_less_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str], threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")
    assert threads_available(cgroup=tmp_path) == threads


@pytest.mark.anyio
async def test_where_the_engine_cannot_run_every_turn_says_why(
    on_x86: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not demo.path().is_file():
        pytest.skip("the demo model is not built")
    monkeypatch.setattr(llamacpp_probe, "find_spec", lambda name: None)
    backend = LlamaCpp(LlamaCppSettings())
    await backend.open()
    assert [model.id for model in await backend.models()] == ["demo-antiphon"]
    with pytest.raises(RemoteError, match="pip install") as caught:
        await anext(backend.stream(asking("Hello")))
    assert (caught.value.status, caught.value.code) == (503, "engine_unavailable")
    with pytest.raises(RemoteError):
        await backend.count(asking("Hello"))
    await backend.close()
