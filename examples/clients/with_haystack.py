"""Haystack: OPENAI_API_KEY is read from the environment, the address is an argument."""

import os

from haystack.components.generators.chat import OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage

generator = OpenAIResponsesChatGenerator(
    model=os.environ.get("MODEL", "demo-antiphon"),
    api_base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    streaming_callback=lambda chunk: print(chunk.content, end="", flush=True),
)
made = generator.run(messages=[ChatMessage.from_user("Tell me a story about a cat.")])
print()
print(made["replies"][0].meta["usage"])
