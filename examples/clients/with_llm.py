"""llm: from Python a model of its own, from a shell

llm openai endpoint "$OPENAI_BASE_URL" --key "$OPENAI_API_KEY" --responses -m demo-antiphon "Hi"
"""

import os

from llm.default_plugins.openai_models import Responses

name = os.environ.get("MODEL", "demo-antiphon")
url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1")
model = Responses(model_id=name, model_name=name, api_base=url)
for piece in model.prompt("Tell me a story about a cat.", key=os.environ.get("OPENAI_API_KEY")):
    print(piece, end="", flush=True)
print()
