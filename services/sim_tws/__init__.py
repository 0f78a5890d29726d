"""A simulated TWS: the wire protocol, an exchange, an account and faults; see `__main__`."""
