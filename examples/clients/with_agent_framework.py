"""Microsoft Agent Framework: OPENAI_BASE_URL and OPENAI_API_KEY say where the server is."""

import asyncio
import os

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient


def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    print(f"get_weather({city!r})")
    return "sunny"


async def main() -> None:
    client = OpenAIChatClient(model=os.environ.get("MODEL", "demo-antiphon"))
    agent = Agent(client, tools=[get_weather])
    print(await agent.run("What is the weather in Paris?"))


asyncio.run(main())
