"""The function behind the HTTP API: takes webhooks, queues conversions."""
