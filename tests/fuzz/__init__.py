"""Hostile bytes at every door: `python -m tests.fuzz`, and a small fixed amount in `make test`."""
