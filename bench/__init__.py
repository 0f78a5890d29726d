"""What the system costs, each figure as a ratio to a yardstick measured beside it.

`python -m bench` prints the targets of docs/performance.md; one file per table.
"""
