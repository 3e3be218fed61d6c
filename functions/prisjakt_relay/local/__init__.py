"""The whole relay on one computer, for trying out and for tests: never deployed."""
