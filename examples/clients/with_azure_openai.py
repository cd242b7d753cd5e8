"""Azure's client: a dated api-version, any deployment name the server knows."""

import os

from openai import AzureOpenAI

client = AzureOpenAI(
    azure_endpoint=os.environ.get("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:8484"),
    api_key=os.environ.get("AZURE_OPENAI_API_KEY", "any"),
    api_version="2025-03-01-preview",
)

response = client.responses.create(
    model=os.environ.get("MODEL", "demo-antiphon"), input="Tell me a story about a cat."
)
print(response.output_text)
print("status:", response.status)
