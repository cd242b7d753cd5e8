"""The OpenAI Agents SDK: OPENAI_BASE_URL and OPENAI_API_KEY say where the server is."""

import os

from agents import Agent, Runner, SQLiteSession, function_tool, set_tracing_disabled

set_tracing_disabled(True)  # traces would go to the hosted API


@function_tool
def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    print(f"get_weather({city!r})")
    return "sunny"


agent = Agent(name="Assistant", model=os.environ.get("MODEL", "demo-antiphon"), tools=[get_weather])
session = SQLiteSession("ada")
result = Runner.run_sync(agent, "What is the weather in Paris?", session=session)
print(result.final_output)
