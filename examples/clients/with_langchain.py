"""LangChain: OPENAI_BASE_URL and OPENAI_API_KEY say where the server is."""

import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI


def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    print(f"get_weather({city!r})")
    return "sunny"


model = ChatOpenAI(model=os.environ.get("MODEL", "demo-antiphon"), use_responses_api=True)
for piece in model.stream("Tell me a story about a cat."):
    print(piece.text, end="", flush=True)
print()

agent = create_agent(model, tools=[get_weather])
asked = {"messages": [("user", "What is the weather in Paris?")]}
print(agent.invoke(asked)["messages"][-1].text)
