"""What we promise, as data: one file per area, each entry tied to a test.

Sources: "issue" is the task that asked for it; "api-surface", "clients" and "house" are the
project's own notes on the API, on what clients send and on how we build; "ours" is our decision.
"""
