"""DSPy: the prefix openai/ says which API to speak, OPENAI_API_KEY is read from the environment."""

import os

import dspy

lm = dspy.LM(
    f"openai/{os.environ.get('MODEL', 'demo-antiphon')}",
    model_type="responses",
    api_base=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
)
print(lm("Tell me a story about a cat.")[0])
