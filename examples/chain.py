"""A conversation kept by the server: each turn names the one before it, and may branch."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")

first = client.responses.create(model=model, input="Hi, my name is Ada.")
print("1:", first.output_text)

second = client.responses.create(
    model=model,
    input="What is my name?",
    previous_response_id=first.id,
)
print("2:", second.output_text)

# A second child of the same parent: it knows the first turn and nothing of the second one.
branch = client.responses.create(
    model=model,
    input="Do you remember my name?",
    previous_response_id=first.id,
)
print("2b:", branch.output_text)

print("what turn 2 was made from:")
for item in client.responses.input_items.list(second.id, order="asc"):
    print("   ", item.role, "-", item.content[0].text)
