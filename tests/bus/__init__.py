"""The bus: within a process, over PostgreSQL, over NATS."""
