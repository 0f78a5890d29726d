"""The whole system in one process, from one seed: real deciders, real loop, real journal code.

Clock, bus, disk and broker are simulated; a nemesis breaks them; a judge looks at what passed.
`python -m tests.simulation --help`; docs/simulation.md says what is real and what is not.
"""
