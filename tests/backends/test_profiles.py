"""Profiles: guessed only where an address is certain, changed only where it is harmless."""

from __future__ import annotations

import pytest

from antiphon.backends.chat_errors import complaint_of, refused_field, retry_after
from antiphon.backends.profiles import (
    DISPENSABLE,
    EFFORTS,
    PROFILES,
    effort_for,
    name_for,
    profile_named,
    without,
)


@pytest.mark.requirement("chat:profiles:guessed")
@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini"),
        ("https://api.anthropic.com/v1", "anthropic"),
        ("http://localhost:11434/v1", "ollama"),
        ("http://127.0.0.1:1234/v1", "lmstudio"),
        ("http://127.0.0.1:8000/v1", "generic"),
        ("http://10.0.0.5:11434/v1", "generic"),
        ("https://api.openai.com.evil.example/v1", "generic"),
        ("https://notapi.openai.com.example", "generic"),
    ],
)
def test_a_profile_is_guessed_from_well_known_addresses_only(url: str, name: str) -> None:
    assert name_for(url) == name
    assert profile_named("auto", url) is PROFILES[name]


@pytest.mark.requirement("chat:profiles:effort")
def test_an_effort_becomes_the_nearest_one_known_and_none_stays_none() -> None:
    generic, openai = PROFILES["generic"], PROFILES["openai"]
    assert [effort_for(generic, effort) for effort in EFFORTS] == [
        *(None, "minimal", "low", "medium", "high", "high", "high"),
    ]
    assert [effort_for(openai, effort) for effort in EFFORTS] == list(EFFORTS)
    assert effort_for(PROFILES["ollama"], "minimal") == "low"
    assert effort_for(PROFILES["mistral"], "high") is None
    assert effort_for(generic, "unheard-of") is None


@pytest.mark.requirement("chat:learn:dispensable")
@pytest.mark.parametrize("field", DISPENSABLE)
def test_every_dispensable_field_has_a_profile_without_it(field: str) -> None:
    profile = PROFILES["openai"] if field != "max_tokens" else PROFILES["generic"]
    assert without(profile, field) != profile


@pytest.mark.requirement("chat:learn:wordings")
@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Unrecognized request argument supplied: stream_options", "stream_options"),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "max_tokens",
        ),
        ("body.parallel_tool_calls: Extra inputs are not permitted", "parallel_tool_calls"),
        ("This response_format type is unavailable now", "response_format"),
        ("Invalid JSON payload received. Unknown name strict: Cannot find field.", "strict"),
        ("unknown field: prompt_cache_key", "prompt_cache_key"),
        ("Unsupported value: 'temperature' does not support 0.5 with this model.", None),
        ("Unsupported parameter: 'reasoning_effort'", None),
        ("max_tokens is too large: 100000", None),
        ("Invalid schema for response_format 'n': 'uniqueItems' is not permitted.", None),
        ("unknown_stream_options is unknown", None),
        ("", None),
    ],
)
def test_the_refused_field_is_found_in_servers_own_words(message: str, field: str | None) -> None:
    function = {"name": "f", "strict": True}
    sent = {
        **dict.fromkeys(["stream_options", "max_tokens", "parallel_tool_calls", "temperature"], 1),
        **dict.fromkeys(["response_format", "prompt_cache_key", "reasoning_effort"], 1),
        "tools": [{"type": "function", "function": function}],
    }
    complaint = complaint_of(b'{"error":{"message":"%s"}}' % message.encode())
    assert refused_field(complaint, sent) == field
    assert refused_field(complaint, {}) is None, "nothing is blamed that was not sent"


@pytest.mark.requirement("chat:errors:retry-after")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "x"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.requirement("chat:errors:retry-after")
def test_a_date_ahead_is_a_wait() -> None:
    wait = retry_after({"retry-after": "Fri, 31 Dec 2999 23:59:59 GMT"})
    assert wait is not None and wait > 1e9


@pytest.mark.requirement("chat:profiles:unsent")
def test_what_a_server_has_no_field_for_is_known_by_its_api_name() -> None:
    assert PROFILES["generic"].unsent == frozenset()
    assert PROFILES["mistral"].unsent == {"reasoning.effort"}
    assert PROFILES["deepseek"].unsent == {"reasoning.effort", "seed"}
    assert PROFILES["anthropic"].unsent == {
        "reasoning.effort",
        "presence_penalty",
        "frequency_penalty",
        "seed",
    }
