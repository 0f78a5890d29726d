"""A test of the tests: what is broken on purpose must be found."""
