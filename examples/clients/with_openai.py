"""The official client: OPENAI_BASE_URL and OPENAI_API_KEY say where the server is."""

import os

from openai import OpenAI

client = OpenAI()
model = os.environ.get("MODEL", "demo-antiphon")

with client.responses.stream(model=model, input="My name is Ada.") as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
    first = stream.get_final_response()

second = client.responses.create(
    model=model, input="What is my name?", previous_response_id=first.id
)
print()
print(second.output_text)
