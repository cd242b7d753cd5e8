"""The guard over what a request costs: it fails when it must, and says so when it cannot judge."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.check import (
    BUDGET,
    TOLERANCE,
    Line,
    budgets,
    cases,
    judged,
    report,
    total_of,
    why_not,
    write,
)

HERE = "3.99 here"
BUDGETED = {"plain": 100_000.0, "burst-200": 2_000.0}


@pytest.fixture
def budget(tmp_path: Path) -> Path:
    path = tmp_path / "budget.toml"
    write(BUDGETED, HERE, path)
    return path


@pytest.mark.requirement("bench:check:fails")
@pytest.mark.parametrize(
    ("share", "status"),
    [(0.5, 0), (1.0, 0), (1 + TOLERANCE / 2, 0), (1 + TOLERANCE * 1.1, 1), (2.0, 1)],
)
@pytest.mark.parametrize("case", BUDGETED)
def test_one_case_above_its_budget_fails_the_check(
    budget: Path, case: str, share: float, status: int
) -> None:
    counted = {**BUDGETED, case: BUDGETED[case] * share}
    assert report(counted, HERE, budget) == status


@pytest.mark.requirement("bench:check:fails")
def test_a_case_that_is_missing_on_either_side_fails_the_check(budget: Path) -> None:
    assert report({"plain": 100_000.0}, HERE, budget) == 1
    assert report({**BUDGETED, "new": 1.0}, HERE, budget) == 1


@pytest.mark.requirement("bench:check:fails")
def test_the_line_of_a_case_says_what_is_wrong_with_it() -> None:
    ((line, good),) = judged({"plain": 130_000.0}, {"plain": 100_000.0})
    assert not good
    assert "130,000" in line and "100,000" in line and "+30.0%" in line and "TOO MUCH" in line


@pytest.mark.requirement("bench:check:not-judged")
def test_another_python_is_counted_and_visibly_not_judged(
    budget: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report({"plain": 999_999_999.0}, "3.98 here", budget) == 0
    told = capsys.readouterr().out
    assert "NOT JUDGED" in told and "3.98 here" in told and "999,999,999" in told


@pytest.mark.requirement("bench:check:not-judged")
def test_without_valgrind_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lacking = why_not()
    assert lacking is not None and "apt-get install valgrind" in lacking


def test_a_budget_is_renewed_for_one_kind_and_the_others_stay(budget: Path) -> None:
    write({"plain": 7.4}, "3.98 here", budget)
    assert budgets(budget) == {HERE: BUDGETED, "3.98 here": {"plain": 7}}


def test_the_budget_in_the_tree_is_for_the_cases_there_are() -> None:
    for whose, budget in budgets(BUDGET).items():
        assert set(budget) == {case.name for case in cases()}, whose


def test_a_dump_is_read_for_the_total_of_all_threads() -> None:
    assert total_of("events: Ir\nfn=(1) a\n1 5\nsummary: 12\ntotals: 4838132\n") == 4_838_132
    with pytest.raises(RuntimeError):
        total_of("events: Ir\n")


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut",
]


@pytest.fixture
def port() -> Iterator[int]:
    """A server that gives ANSWERS in two halves each, on one connection, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for answer in ANSWERS:
                    while not connection.recv(65_536).endswith((b"\r\n\r\n", b"}")):
                        pass
                    connection.sendall(answer[:20])
                    connection.sendall(answer[20:])

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(5)


def test_the_client_reads_answers_to_their_end_and_refuses_bad_ones(port: int) -> None:
    line = Line(port)
    assert line.ask("GET", "/a") == b"hello"
    assert line.ask("POST", "/b", {"a": 1}) == b"5\r\nhello\r\n0\r\n\r\n"
    with pytest.raises(RuntimeError, match="500"):
        line.ask("GET", "/c")
    with pytest.raises(RuntimeError, match="closed"):
        line.ask("GET", "/d")
    line.close()
