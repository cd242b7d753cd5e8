"""A conversation that grows beyond a threshold goes on from a summary.

The demo model is too small to sum anything up; the scripted model of the default here does. Start
the server with `antiphon serve --scripted`, or set MODEL.
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "scripted/summary")

first = client.responses.create(
    model=model, input="My dog is called Rex. " + "He likes long walks. " * 300
)
second = client.responses.create(
    model=model,
    previous_response_id=first.id,
    input="What is my dog called?",
    context_management=[{"type": "compaction", "compact_threshold": 1_000}],
)
print("turn 2 holds:", ", ".join(item.type for item in second.output))

# From here on the model sees the summary instead of what was before it.
counted = {"model": model, "input": "Thanks."}
before = client.responses.input_tokens.count(previous_response_id=first.id, **counted)
after = client.responses.input_tokens.count(previous_response_id=second.id, **counted)
print("less to send:", after.input_tokens < before.input_tokens / 4)
