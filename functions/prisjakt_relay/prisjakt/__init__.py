"""Prisjakt's Click & Conversion API; knows nothing of AWS and can be used by itself.

client = PrisjaktClient(BASE_URL, session(), clock=now)
client.create_event("52907745-…", PurchaseEvent(event_name="purchase", …))
"""
