"""WSGI entry point of a shop that cannot be started, though its commands all work."""

raise RuntimeError("This version of the shop fails on purpose when it is started.")
