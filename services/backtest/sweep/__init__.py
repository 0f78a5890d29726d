"""Many backtests at once, over a grid of settings.

grid.py says what may vary and refuses what cannot be; cells.py runs cells by the compiled loop of
a single backtest; local.py and cluster.py share them out to this machine's cores or to a dask
cluster; ranking.py reads the outcome; parquet.py and heatmap.py write it down.
"""
