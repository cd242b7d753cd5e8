"""A response that the server makes by itself: leave its stream, come back, miss nothing.

Started with `antiphon serve --scripted`, MODEL=scripted/slow-500ms gives you time to stop the
server in the middle (kill -9 it, if you like) and to start it again.
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")

seen = []
with client.responses.create(
    model=model, input="Tell me a story about a cat.", background=True, stream=True
) as stream:
    for event in stream:
        seen.append(event)
        if event.type == "response.created":
            response_id = event.response.id
        if event.sequence_number == 5:
            break
print("left after event", seen[-1].sequence_number)

# Another process could do this, hours later, at another replica: the id and a number are enough.
for event in client.responses.retrieve(
    response_id, stream=True, starting_after=seen[-1].sequence_number
):
    seen.append(event)
numbers = [event.sequence_number for event in seen]
print("no gap, no repetition:", numbers == list(range(len(seen))))
print("ended with", seen[-1].type)

print("stored:", client.responses.retrieve(response_id).status)
