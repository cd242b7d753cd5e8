"""A function the model may call: run the calls, send back their outputs, until it answers."""

import json
import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")


def get_weather(city: str) -> str:
    return json.dumps({"city": city, "weather": "sunny", "degrees": 21})


FUNCTIONS = {"get_weather": get_weather}

TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Get the current weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    }
]

TURNS_MAX = 5

response = client.responses.create(model=model, input="What is the weather in Paris?", tools=TOOLS)
for _ in range(TURNS_MAX):
    calls = [item for item in response.output if item.type == "function_call"]
    if not calls:
        break
    outputs = []
    for call in calls:
        result = FUNCTIONS[call.name](**json.loads(call.arguments))
        print(f"{call.name}({call.arguments}) -> {result}")
        outputs.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    response = client.responses.create(
        model=model, input=outputs, previous_response_id=response.id, tools=TOOLS
    )

print(response.output_text)
