"""Webhooks: endpoints over the official client, deliveries to real receivers."""
