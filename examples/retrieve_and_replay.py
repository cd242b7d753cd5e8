"""What was made can be read again: whole, as its stream, or from the middle of it."""

import os

from openai import NotFoundError, OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")

seen = []
with client.responses.create(model=model, input="Hello!", stream=True) as stream:
    for event in stream:
        seen.append(event)
response_id = seen[0].response.id

again = client.responses.retrieve(response_id)
print("stored:", again.status, repr(again.output_text))

replay = list(client.responses.retrieve(response_id, stream=True))
print("the replay is the stream:", replay == seen)

tail = list(client.responses.retrieve(response_id, stream=True, starting_after=3))
print("after event 3 comes event", tail[0].sequence_number)

client.responses.delete(response_id)
try:
    client.responses.retrieve(response_id)
except NotFoundError as error:
    print("deleted:", error.code)
