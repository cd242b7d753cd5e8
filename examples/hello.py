"""One request, one answer."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")

response = client.responses.create(model=model, input="Hello!")

print(response.output_text)
print(f"{response.id}: {response.usage.total_tokens} tokens")
