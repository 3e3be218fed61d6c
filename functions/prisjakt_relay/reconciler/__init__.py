"""The function that compares: what a shop has sold, what the ledger knows, what Prisjakt holds."""
