"""Research with the very rules that trade.

options.py says what may be varied, history.py reads and checks a folder of CSV files, sheet.py lays
a history out session by session. Two paths run on a sheet and agree to the bit: event_path.py lets
the live deciders judge each message with bar_broker.py where the sockets were; compiled_path.py
compiles the same scalar rules of common/core/rules.py. report/ shows a run as a page.
docs/research.md says what is approximated.
"""
