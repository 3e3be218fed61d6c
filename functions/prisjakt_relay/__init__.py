"""Reports the purchases that came from Prisjakt, exactly once."""

__version__ = "0.1.0"
