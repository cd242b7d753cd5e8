"""An answer that fits a JSON Schema, read as an object."""

import json
import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

response = client.responses.create(
    model=model,
    input="Ada is 36 years old.",
    text={"format": {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}},
)

if response.status == "completed":
    person = json.loads(response.output_text)
    print(f"name: {person['name']!r}, age: {person['age']}")
else:
    print(response.status, response.incomplete_details or response.error)
