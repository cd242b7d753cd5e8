"""An answer shown while it is being written, and how it ended."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")

stream = client.responses.create(model=model, input="Tell me a story about a cat.", stream=True)
for event in stream:
    match event.type:
        case "response.output_text.delta":
            print(event.delta, end="", flush=True)
        case "response.completed":
            print(f"\n[completed after {event.sequence_number + 1} events]")
        case "response.incomplete":
            print(f"\n[cut short: {event.response.incomplete_details.reason}]")
        case "response.failed":
            print(f"\n[failed: {event.response.error.message}]")
