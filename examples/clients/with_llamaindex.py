"""LlamaIndex: it takes the address as an argument, and a context window for a model it does not
know by name."""

import os

from llama_index.llms.openai import OpenAIResponses

llm = OpenAIResponses(
    model=os.environ.get("MODEL", "demo-antiphon"),
    api_base=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
    context_window=4096,
)
for piece in llm.stream_complete("Tell me a story about a cat."):
    print(piece.delta or "", end="", flush=True)
print()
