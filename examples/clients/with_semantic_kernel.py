"""Semantic Kernel: its agents take the official client, which reads OPENAI_BASE_URL."""

import asyncio
import os

from openai import AsyncOpenAI
from semantic_kernel.agents import OpenAIResponsesAgent
from semantic_kernel.functions import kernel_function


class Weather:
    @kernel_function(description="Get the current weather of a city.")
    def get_weather(self, city: str) -> str:
        print(f"get_weather({city!r})")
        return "sunny"


async def main() -> None:
    agent = OpenAIResponsesAgent(
        ai_model_id=os.environ.get("MODEL", "demo-antiphon"),
        client=AsyncOpenAI(),
        name="Assistant",
        plugins=[Weather()],
    )
    answer = await agent.get_response(messages="What is the weather in Paris?")
    print(answer.message)


asyncio.run(main())
