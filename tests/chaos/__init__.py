"""Chaos: the whole system on real processes while a seeded nemesis breaks everything around it.

`make chaos MINUTES=10 SEED=3`. `__main__.py` is the front door; `schedule.py` draws the blows,
`blows.py` strikes them, `books.py` compares our journals with the broker's when it is over.
"""
