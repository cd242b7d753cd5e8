"""LiteLLM as a client: OPENAI_BASE_URL and OPENAI_API_KEY say where the server is. The prefix
openai/ is LiteLLM's and tells it which API to speak."""

import os

import litellm

model = f"openai/{os.environ.get('MODEL', 'demo-antiphon')}"
stream = litellm.responses(model=model, input="Tell me a story about a cat.", stream=True)
for event in stream:
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
print()
