"""trader: the person's command line. It asks and hears; it decides nothing and sends no order.

Exit codes are in `exit_codes.py`. Every command takes `--json`. The running system is found by
`common/running.py`. If it dies: nothing else notices.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the `trader` script and of `python -m services.trader`."""
    import signal  # noqa: PLC0415  the same as below

    # A shell that starts it in the background has it ignore Ctrl+C, and `tail` would never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from services.trader.app import app  # noqa: PLC0415  the package stays cheap to import

    app()
