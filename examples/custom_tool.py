"""A tool whose input is plain text, held to a grammar instead of a JSON Schema.

The demo model does not know such tools; the scripted model of the default here does. Start the
server with `antiphon serve --scripted`, or set MODEL to a model that calls custom tools.
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "scripted/custom")

TOOLS = [
    {
        "type": "custom",
        "name": "calculate",
        "description": "Adds and multiplies numbers, such as 2 + 3 * 4.",
        "format": {
            "type": "grammar",
            "syntax": "lark",
            "definition": 'start: NUMBER (" " ("+" | "*") " " NUMBER)*\nNUMBER: /[0-9]+/',
        },
    }
]


def calculate(text: str) -> str:
    total = 0
    for term in text.split(" + "):
        product = 1
        for factor in term.split(" * "):
            product *= int(factor)
        total += product
    return str(total)


response = client.responses.create(model=model, input="2 + 3 * 4", tools=TOOLS)
outputs = []
for item in response.output:
    if item.type == "custom_tool_call":
        result = calculate(item.input)
        print(f"{item.name}({item.input!r}) -> {result}")
        outputs.append(
            {"type": "custom_tool_call_output", "call_id": item.call_id, "output": result}
        )

answer = client.responses.create(
    model=model, input=outputs, previous_response_id=response.id, tools=TOOLS
)
print(answer.output_text)
