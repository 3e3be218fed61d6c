"""The function behind the queue: reports conversions to Prisjakt."""
