"""Many turns over one connection, of which the server stores nothing.

Needs the client's WebSocket parts: pip install 'openai[realtime]'.
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")

with client.responses.connect() as connection:
    parent = None
    for said in ("Hi, my name is Ada.", "What is my name?"):
        turn = {"model": model, "input": said, "store": False}
        if parent is not None:
            turn["previous_response_id"] = parent  # known to this connection, and to nobody else
        connection.response.create(**turn)
        for event in connection:
            match event.type:
                case "response.completed" | "response.incomplete":
                    parent = event.response.id
                    print(event.response.output_text)
                    break
                case "response.failed" | "error":
                    raise SystemExit(event.to_json())
