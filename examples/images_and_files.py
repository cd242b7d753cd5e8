"""A document and a picture in the input.

The server extracts the text of the document (text or PDF), so any model can read it; a picture
is passed on as it is and needs a model that sees. The default is a scripted model that repeats
what it was shown: start the server with `antiphon serve --scripted`, or set MODEL.
"""

import base64
import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
reader = os.environ.get("MODEL", "scripted/transcript")
viewer = os.environ.get("MODEL", "scripted/vision")


def data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


notes = b"Meeting on Tuesday at ten. Bring the prototype."
response = client.responses.create(
    model=reader,
    input=[
        {
            "role": "user",
            "content": [
                {
                    "type": "input_file",
                    "filename": "notes.txt",
                    "file_data": data_url("text/plain", notes),
                },
                {"type": "input_text", "text": "When is the meeting?"},
            ],
        }
    ],
)
print(response.output_text)

pixel = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5E"
    "rkJggg=="
)
response = client.responses.create(
    model=viewer,
    input=[
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What do you see?"},
                {
                    "type": "input_image",
                    "image_url": data_url("image/png", pixel),
                    "detail": "auto",
                },
            ],
        }
    ],
)
print(response.output_text)
