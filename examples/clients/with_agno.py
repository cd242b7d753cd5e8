"""Agno: OPENAI_API_KEY is read from the environment, the address is an argument."""

import os

from agno.agent import Agent
from agno.models.openai import OpenAIResponses


def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    print(f"get_weather({city!r})")
    return "sunny"


model = OpenAIResponses(
    id=os.environ.get("MODEL", "demo-antiphon"),
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
)
agent = Agent(model=model, tools=[get_weather], telemetry=False)
print(agent.run("What is the weather in Paris?").content)
