"""The samples of Azure's Responses page (April 2025); only the endpoint is another one.

A deployment is a name under ``[azure.deployments]`` in the settings, or any model there is.
"""

import os

from openai import AzureOpenAI

client = AzureOpenAI(
    api_key=os.environ.get("AZURE_OPENAI_API_KEY", "any"),
    api_version="2025-03-01-preview",
    azure_endpoint=os.environ.get("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:8484"),
)
deployment = os.environ.get("MODEL", "demo-antiphon")

created = client.responses.create(model=deployment, input="This is a test.")
print("created:", created.output_text)

retrieved = client.responses.retrieve(created.id)
print("retrieved:", retrieved.output_text)

instructed = client.responses.create(
    model=deployment,
    instructions="Talk like a pirate.",
    input="Are semicolons optional in JavaScript?",
)
print("instructions:", instructed.output_text)

developed = client.responses.create(
    model=deployment,
    input=[
        {"role": "developer", "content": "Talk like a pirate."},
        {"role": "user", "content": "Are semicolons optional in JavaScript?"},
    ],
)
print("developer message:", developed.output_text)
