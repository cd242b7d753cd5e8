"""How many tokens a request would put into the model, without making it."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")

asked = client.responses.input_tokens.with_raw_response.count(
    model=model,
    instructions="Answer like a pirate.",
    input="Where did you bury the gold?",
)
# "exact" where the model's own tokeniser counted, "estimate" elsewhere.
how = asked.headers["x-antiphon-token-count"]
print(f"{asked.parse().input_tokens} tokens ({how})")
