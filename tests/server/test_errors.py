"""Failures become answers: status, envelope, retry headers."""

from __future__ import annotations

import msgspec
import pytest

from antiphon.errors import ClientError, ContextOverflow, LocalProtocolError, RemoteError
from antiphon.server.errors import problem_of, unknown_url, wrong_method

CASES = [
    (
        ClientError("Bad.", code="invalid_value", param="input[3].content"),
        (400, "invalid_request_error", "invalid_value", "input[3].content", "false"),
    ),
    (
        ClientError("Gone.", code="response_not_found", status=404),
        (404, "invalid_request_error", "response_not_found", None, "false"),
    ),
    (
        ClientError("Busy.", code="conversation_locked", status=409),
        (409, "invalid_request_error", "conversation_locked", None, None),
    ),
    (
        RecursionError("maximum recursion depth exceeded"),
        (400, "invalid_request_error", "invalid_json", None, "false"),
    ),
    (
        ContextOverflow("Too long."),
        (400, "invalid_request_error", "context_length_exceeded", "input", "false"),
    ),
    (
        RemoteError("Slow down.", status=429, retryable=True),
        (429, "rate_limit_exceeded", "rate_limit_exceeded", None, "true"),
    ),
    (
        RemoteError("Pay.", status=429, code="insufficient_quota"),
        (429, "insufficient_quota", "insufficient_quota", None, "false"),
    ),
    (
        RemoteError("No such model.", status=404, code="model_not_found", param="model"),
        (404, "invalid_request_error", "model_not_found", "model", "false"),
    ),
    (
        RemoteError("Broke off.", status=502, code="upstream_broke_off"),
        (502, "server_error", "upstream_broke_off", None, "false"),
    ),
    (
        RemoteError("Odd.", status=200),
        (502, "server_error", "server_error", None, "false"),
    ),
    (
        LocalProtocolError("an event out of order"),
        (500, "server_error", "server_error", None, "false"),
    ),
    (KeyError("secret"), (500, "server_error", "server_error", None, "false")),
]


@pytest.mark.requirement("http:errors:mapping")
@pytest.mark.parametrize(("failure", "expected"), CASES)
def test_every_kind_of_failure_has_its_status_type_code_and_retry_advice(
    failure: Exception, expected: tuple[int, str, str, str | None, str | None]
) -> None:
    problem = problem_of(failure, "req_1")
    retry = dict(problem.headers).get(b"x-should-retry")
    error = problem.error
    assert (
        problem.status,
        error.type,
        error.code,
        error.param,
        retry.decode() if retry else None,
    ) == expected


@pytest.mark.requirement("http:errors:envelope")
def test_the_envelope_always_has_its_four_keys() -> None:
    body = problem_of(ClientError("Bad.", code=None), "req_1").body
    assert msgspec.json.decode(body) == {
        "error": {
            "message": "Bad.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }


@pytest.mark.requirement("http:errors:bug")
def test_an_unexpected_failure_shows_its_request_id_and_nothing_of_itself() -> None:
    problem = problem_of(KeyError("hunter2"), "req_17")
    assert "req_17" in problem.error.message
    assert b"hunter2" not in problem.body and b"KeyError" not in problem.body


@pytest.mark.requirement("http:errors:retry-after")
def test_a_remotes_wish_to_wait_is_passed_on_in_seconds_and_milliseconds() -> None:
    problem = problem_of(RemoteError("Wait.", status=429, retry_after_seconds=1.25), "req_1")
    headers = dict(problem.headers)
    assert (headers[b"retry-after"], headers[b"retry-after-ms"]) == (b"2", b"1250")


def test_a_wish_to_wait_a_negative_time_is_no_time() -> None:
    problem = problem_of(RemoteError("Wait.", status=503, retry_after_seconds=-3), "req_1")
    assert dict(problem.headers)[b"retry-after"] == b"0"


def test_405_names_what_is_allowed() -> None:
    problem = problem_of(wrong_method("PATCH", ("DELETE", "GET")), "req_1")
    assert (problem.status, dict(problem.headers)[b"allow"]) == (405, b"DELETE, GET")
    assert "DELETE, GET" in problem.error.message


def test_a_very_long_path_is_not_repeated_whole() -> None:
    assert len(unknown_url("GET", "/" + "x" * 10_000).message) < 200
