"""instructor in its mode for the Responses API."""

from __future__ import annotations

from typing import Any

import instructor
from checking import check, run
from instructor.core import InstructorRetryException
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field, field_validator

MODE = instructor.Mode.RESPONSES_TOOLS
client = instructor.from_openai(OpenAI(), mode=MODE)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class Team(BaseModel):
    title: str = Field(description="What it is called.")
    members: list[Person]
    lead: Person | None = None


def asked(script: str = "tool", **more: Any) -> Any:
    messages = [{"role": "user", "content": "Who is it?"}]
    return {"model": f"scripted/{script}", "messages": messages, "max_retries": 0, **more}


@check
def creates() -> None:
    made = client.create(response_model=Person, **asked())
    assert isinstance(made, Person) and made.model_dump() == {"name": "example", "age": 1}


@check
async def creates_async() -> None:
    asynchronous = instructor.from_openai(AsyncOpenAI(), mode=MODE)
    made = await asynchronous.create(response_model=Person, **asked())
    assert isinstance(made, Person) and made.model_dump() == {"name": "example", "age": 1}


@check
def a_nested_model() -> None:
    made = client.create(response_model=Team, **asked())
    assert made.title == "example" and made.members == []


@check
def the_whole_response_beside_the_model() -> None:
    made, response = client.create_with_completion(response_model=Person, **asked())
    assert made.age == 1 and response.id.startswith("resp_")
    assert response.usage.total_tokens > 0


@check
def streams_a_partial_model() -> None:
    states = list(client.create_partial(response_model=Person, **asked()))
    assert states[-1].model_dump() == {"name": "example", "age": 1}


@check
def asks_again_for_a_valid_answer() -> None:
    tries: list[str] = []

    class Doubtful(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def at_the_second_try(cls, value: str) -> str:
            tries.append(value)
            if len(tries) == 1:
                raise ValueError("not at the first try")
            return value

    made = client.create(response_model=Doubtful, **asked(script="endless-tools", max_retries=2))
    assert made.name == "example" and len(tries) == 2


@check
def gives_up_with_its_own_error() -> None:
    try:
        client.create(response_model=Person, **asked(script="hello"))
    except InstructorRetryException:
        return
    raise AssertionError("words are no person")


if __name__ == "__main__":
    run("instructor")
