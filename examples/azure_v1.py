"""Azure's undated API (``/openai/v1/``) with the plain client, streamed."""

import os

from openai import OpenAI

endpoint = os.environ.get("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:8484")
client = OpenAI(
    base_url=f"{endpoint}/openai/v1/",
    api_key=os.environ.get("AZURE_OPENAI_API_KEY", "any"),
)
deployment = os.environ.get("MODEL", "demo-antiphon")

with client.responses.stream(model=deployment, input="This is a test.") as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
    print()
    print("status:", stream.get_final_response().status)
