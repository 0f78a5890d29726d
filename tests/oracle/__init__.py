"""An independent judge: from the recorded wire traffic alone, did the system keep its word?

Nothing here imports the system or the simulated exchange. Messages are read by field number, the
stop, the averages, positions and money are computed again, and every promise is checked at the
instant the bytes passed. `judge.py` is the front door.
"""
