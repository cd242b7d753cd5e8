"""instructor: it wraps the official client, which reads OPENAI_BASE_URL and OPENAI_API_KEY."""

import os

import instructor
from openai import OpenAI
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


client = instructor.from_openai(OpenAI(), mode=instructor.Mode.RESPONSES_TOOLS)
person = client.create(
    model=os.environ.get("MODEL", "demo-antiphon"),
    messages=[{"role": "user", "content": "Jane is 54 years old."}],
    response_model=Person,
)
print(person)
