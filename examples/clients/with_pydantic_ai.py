"""pydantic-ai: OPENAI_BASE_URL and OPENAI_API_KEY say where the server is."""

import os

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel

agent = Agent(OpenAIResponsesModel(os.environ.get("MODEL", "demo-antiphon")))


@agent.tool_plain
def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    print(f"get_weather({city!r})")
    return "sunny"


print(agent.run_sync("What is the weather in Paris?").output)
