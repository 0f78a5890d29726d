"""Margin in every combination: our rule against the simulated account's."""
