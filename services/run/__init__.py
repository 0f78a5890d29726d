"""The launcher behind `make run`: checks, starts everything under supervisord, waits, stops it."""
