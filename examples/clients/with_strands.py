"""Strands Agents: OPENAI_BASE_URL and OPENAI_API_KEY say where the server is."""

import os

from strands import Agent, tool
from strands.models.openai_responses import OpenAIResponsesModel


@tool
def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return "sunny"


model = OpenAIResponsesModel(model_id=os.environ.get("MODEL", "demo-antiphon"), stateful=True)
agent = Agent(model=model, tools=[get_weather])
agent("What is the weather in Paris?")
print()
