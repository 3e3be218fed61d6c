"""Reports the purchases that came from Prisjakt, exactly once."""

__version__ = "1.0.0"
