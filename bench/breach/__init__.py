"""Promise 2, measured: from a true breach to the exit order at the broker, in seconds.

`make latency BREACHES=1000`. Real processes under supervisord against the simulated TWS; market
time at speed 1 around each breach, jumps in between. Figures are seconds, as the promise is.
"""
