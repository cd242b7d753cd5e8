"""The Open Responses specification of 2026-04-24, checked against any server.

``schema.py`` what an object must look like · ``client.py`` asks · ``scenarios.py`` the acceptance
scenarios · ``conflicts.py`` where it and OpenAI's API exclude each other, and what we do. Nothing
of the server is imported by the first three: it is judged here.
"""
