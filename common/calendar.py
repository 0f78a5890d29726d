"""The New York stock exchange's sessions: holidays, early closes and daylight saving, from
exchange_calendars.

The library needs a second to import and build, so it runs in a process of its own that ends at once
(`python -m common.calendar FIRST LAST` prints the sessions); `read_sessions` starts it and waits
without stopping the caller's event loop.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import date
from pathlib import Path

import msgspec

from common.tws.market_messages import SessionHours

EXCHANGE = "XNYS"
ROOT = Path(__file__).resolve().parent.parent


class CalendarError(Exception):
    """The sessions could not be computed; the text says why."""


async def read_sessions(first: date, last: date, timeout_s: float) -> tuple[SessionHours, ...]:
    """The regular sessions from `first` to `last`, oldest first.

    Raises CalendarError; the wait is at most `timeout_s` of host time.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "common.calendar", first.isoformat(), last.isoformat(),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError as error:
        raise CalendarError(f"no answer within {timeout_s:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        last_line = (errors.decode(errors="replace").strip().splitlines() or ["no reason"])[-1]
        raise CalendarError(last_line[:300])
    return msgspec.json.decode(output, type=tuple[SessionHours, ...])


def sessions(first: date, last: date) -> list[SessionHours]:
    """The same, computed here and now (about a second). ValueError for an impossible range."""
    import exchange_calendars  # noqa: PLC0415  (slow; only the short-lived process pays for it)

    calendar = exchange_calendars.get_calendar(
        EXCHANGE, start=first.isoformat(), end=last.isoformat()
    )
    return [
        SessionHours(day=day.date(), open_ns=opens.value, close_ns=closes.value)
        for day, opens, closes in zip(
            calendar.schedule.index, calendar.opens, calendar.closes, strict=True
        )
    ]


if __name__ == "__main__":
    days = sessions(date.fromisoformat(sys.argv[1]), date.fromisoformat(sys.argv[2]))
    sys.stdout.buffer.write(msgspec.json.encode(days))
