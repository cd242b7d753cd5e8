"""Be called when a background response has ended, and check that it was the server who called.

The server calls public HTTPS addresses only, so for a try on one machine it has to be told that
this one is meant:

    ANTIPHON__WEBHOOKS__ALLOW_HTTP=true ANTIPHON__WEBHOOKS__ALLOWED=127.0.0.1 antiphon serve
"""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from openai import InvalidWebhookSignatureError, OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "demo-antiphon")
events = []


class Hooks(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = client.webhooks.unwrap(body, dict(self.headers), secret=endpoint.signing_secret)
        except (InvalidWebhookSignatureError, ValueError):
            self.send_response(400)
        else:
            events.append(event)
            self.send_response(204)
        self.end_headers()

    def log_message(self, *words):
        """Not to the terminal."""


receiver = HTTPServer(("127.0.0.1", 0), Hooks)
receiver.timeout = 30
endpoint = client.webhooks.create(
    name="example",
    url=f"http://127.0.0.1:{receiver.server_port}/",
    event_types=["response.completed", "response.incomplete"],
)
try:
    job = client.responses.create(model=model, input="Hello!", background=True)
    print(job.status)
    receiver.handle_request()
finally:
    client.webhooks.delete(endpoint.id)

for event in events:
    print(event.type, event.data.id == job.id)
    print(client.responses.retrieve(event.data.id).output_text)
