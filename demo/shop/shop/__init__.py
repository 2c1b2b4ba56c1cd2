"""The project: a small online shop."""
