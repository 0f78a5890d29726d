"""A backtest as one page: a single HTML file that opens offline and prints.

study.py gathers every figure (days.py, stops.py, periods.py, drag.py, grids.py, luck.py: one
question each), charts.py draws, page.py fills page.html. Only `trader report` and `trader backtest
--report` load it: matplotlib, arch and jinja2 are at home here and nowhere else.
"""
