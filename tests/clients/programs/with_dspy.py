"""DSPy: ``dspy.LM(model_type="responses")`` in its modules."""

from __future__ import annotations

from typing import Any

import dspy
from checking import KEY, ROOT, URL, check, run
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


class Extract(dspy.Signature):
    """Extract the person."""

    text: str = dspy.InputField()
    person: Person = dspy.OutputField()


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def model(script: str) -> dspy.LM:
    return dspy.LM(
        f"openai/scripted/{script}",
        model_type="responses",
        api_base=URL,
        api_key=KEY,
        cache=False,
        num_retries=0,
    )


def known(name: str = "gpt-4.1-mini") -> dspy.LM:
    """A script under a name of which DSPy knows what it can do: the server has deployments
    ``gpt-4.1-mini`` for ``scripted/json`` and ``gpt-4o`` for ``scripted/tool``."""
    return dspy.LM(
        f"openai/{name}",
        model_type="responses",
        api_base=f"{ROOT}/openai/v1",
        api_key=KEY,
        cache=False,
        num_retries=0,
    )


@check
def text() -> None:
    said: Any = model("echo")("Say this back.")
    assert [it if isinstance(it, str) else it["text"] for it in said] == ["Say this back."]


@check
async def text_async() -> None:
    said: Any = await model("echo").acall("Say this back.")
    assert [it if isinstance(it, str) else it["text"] for it in said] == ["Say this back."]


@check
def many_turns() -> None:
    messages = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Who am I?"},
    ]
    assert "Ada" in str(model("recall")(messages=messages))


@check
def reasoning_is_apart() -> None:
    said: Any = model("reasoning")("Hear me.")
    assert said[0]["text"] == "Hear me."
    assert "repeat" in said[0]["reasoning_content"]


@check
def structured_output() -> None:
    with dspy.context(lm=known(), adapter=dspy.JSONAdapter()):
        made = dspy.Predict(Extract)(text="Who?")
    assert made.person == Person(name="example", age=1)


@check
def a_chain_of_thought() -> None:
    with dspy.context(lm=known(), adapter=dspy.JSONAdapter()):
        made = dspy.ChainOfThought("question -> answer: int")(question="How many?")
    assert isinstance(made.answer, int) and made.reasoning


class Ask(dspy.Signature):
    question: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()


@check
def native_tool_calls() -> None:
    tool = dspy.Tool(get_weather)
    adapter = dspy.ChatAdapter(use_native_function_calling=True)
    with dspy.context(lm=known("gpt-4o"), adapter=adapter):
        made = dspy.Predict(Ask)(question="Weather?", tools=[tool])
    (call,) = made.calls.tool_calls
    assert (call.name, call.args) == ("get_weather", {"city": "example"})
    assert tool(**call.args) == "sunny in example"


@check
def usage_is_told() -> None:
    with dspy.context(lm=known(), adapter=dspy.JSONAdapter(), track_usage=True):
        made = dspy.Predict(Extract)(text="Who?")
    assert "gpt-4.1-mini" in str(made.get_lm_usage())


@check
def errors_are_told() -> None:
    try:
        model("error-400")("x")
    except Exception as error:
        assert "400" in str(error) or "fail" in str(error).lower()
        return
    raise AssertionError("it went well")


if __name__ == "__main__":
    run("dspy", "cat")
