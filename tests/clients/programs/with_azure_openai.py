"""Azure's flavour of the official client: a dated api-version, the undated API, both roads."""

from __future__ import annotations

from typing import Any

import openai
from checking import KEY, ROOT, check, run
from openai import AsyncAzureOpenAI, AzureOpenAI, OpenAI

strictly: dict[str, Any] = {
    "api_key": KEY,
    "api_version": "2025-03-01-preview",
    "azure_endpoint": ROOT,
    "max_retries": 0,
    "_strict_response_validation": True,
}
client = AzureOpenAI(**strictly)
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@check
def creates_and_retrieves_with_a_dated_version() -> None:
    made = client.responses.create(model="my-deployment", input="This is a test.")
    assert made.output_text == "This is a test."
    assert client.responses.retrieve(made.id).to_dict() == made.to_dict()


@check
def streams() -> None:
    stream = client.responses.create(model="my-deployment", input="Stream me.", stream=True)
    said = [e.delta for e in stream if e.type == "response.output_text.delta"]
    assert "".join(said) == "Stream me."
    with client.responses.stream(model="my-deployment", input="Stream me.") as helper:
        list(helper)
        assert helper.get_final_response().output_text == "Stream me."


@check
async def asynchronous() -> None:
    async with AsyncAzureOpenAI(**strictly) as client:
        first = await client.responses.create(model="my-deployment", input="Remember seven.")
        second = await client.responses.create(
            model="my-deployment", input="And now?", previous_response_id=first.id
        )
        assert second.previous_response_id == first.id
        items: Any = [i async for i in client.responses.input_items.list(second.id, order="asc")]
    assert [item.role for item in items] == ["user", "assistant", "user"]


@check
def tool_round_trip() -> None:
    first = client.responses.create(model="my-tools", input="Weather?", tools=[TOOL])
    call: Any = first.output[0]
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = client.responses.create(
        model="my-tools", input=[result], previous_response_id=first.id, tools=[TOOL]
    )
    assert second.output_text == "The tool said: sunny"


@check
def cancels_a_background_response() -> None:
    made = client.responses.create(model="scripted/stall", input="Wait.", background=True)
    assert client.responses.cancel(made.id).status == "cancelled"
    client.responses.delete(made.id)


@check
def the_undated_api_with_the_plain_client() -> None:
    plain = OpenAI(
        base_url=f"{ROOT}/openai/v1/", api_key=KEY, _strict_response_validation=True, max_retries=0
    )
    first = plain.responses.create(model="my-deployment", input="First.")
    with plain.responses.stream(
        model="my-deployment", input="Second.", previous_response_id=first.id
    ) as stream:
        list(stream)
        assert stream.get_final_response().output_text == "Second."
    talk = plain.conversations.create()
    made = plain.responses.create(model="my-deployment", input="Third.", conversation=talk.id)
    assert made.conversation is not None and made.conversation.id == talk.id


@check
def talks_over_a_websocket() -> None:
    with client.responses.connect() as connection:
        connection.response.create(model="my-deployment", input="Hear me.", store=False)
        for event in connection:
            assert event.type != "error", event.to_json()
            if event.type == "response.completed":
                break
    assert event.response.output_text == "Hear me."


@check
def errors_have_their_classes() -> None:
    for kind, asked in (
        (openai.NotFoundError, {"model": "no-such-deployment"}),
        (openai.BadRequestError, {"model": "my-deployment", "temperature": 9}),
    ):
        try:
            client.responses.create(input="x", **asked)
        except kind:
            continue
        raise AssertionError(f"{asked} went well")
    try:
        client.with_options(api_key="wrong").responses.create(model="my-deployment", input="x")
    except openai.AuthenticationError:
        return
    raise AssertionError("any key is good")


if __name__ == "__main__":
    run("openai", "status: completed")
