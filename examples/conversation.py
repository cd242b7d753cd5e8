"""A conversation kept by the server under one id: say what is new, read what was said, erase it."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")

conversation = client.conversations.create(metadata={"user": "ada"})
client.responses.create(model=model, conversation=conversation.id, input="Hi, my name is Ada.")
answer = client.responses.create(
    model=model, conversation=conversation.id, input="What is my name?"
)
print(answer.output_text)

for item in client.conversations.items.list(conversation.id, order="asc"):
    print("   ", item.role, "-", item.content[0].text)

print(client.conversations.delete(conversation.id).object)
