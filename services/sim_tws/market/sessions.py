"""The exchange's sessions: holidays, early closes and daylight saving from exchange_calendars."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date, timedelta
from functools import cached_property, lru_cache

from services.sim_tws.market.interface import SessionTimes

_FULL_DAY_NS = int(timedelta(hours=6.5).total_seconds()) * 1_000_000_000


@lru_cache(maxsize=4)
def _xnys_sessions(first_day: date, last_day: date) -> list[SessionTimes]:
    """Importing exchange_calendars and building one calendar take about half a second each."""
    from exchange_calendars.exchange_calendar_xnys import (  # noqa: PLC0415 - slow import
        XNYSExchangeCalendar,
    )

    # The calendar refuses a range without a session, so it is built a fortnight wider.
    margin = timedelta(days=14)
    calendar = XNYSExchangeCalendar(
        start=(first_day - margin).isoformat(), end=(last_day + margin).isoformat()
    )
    days = calendar.opens.index.date
    opens_ns = calendar.opens.to_numpy(dtype="datetime64[ns]").astype("int64").tolist()
    closes_ns = calendar.closes.to_numpy(dtype="datetime64[ns]").astype("int64").tolist()
    return [
        SessionTimes(day, open_ns, close_ns, close_ns - open_ns < _FULL_DAY_NS)
        for day, open_ns, close_ns in zip(days, opens_ns, closes_ns, strict=True)
        if first_day <= day <= last_day
    ]


class Sessions:
    """The XNYS sessions from `first_day` to `last_day`, computed at the first question."""

    def __init__(self, first_day: date, last_day: date) -> None:
        self.first_day = first_day
        self.last_day = last_day

    @cached_property
    def all(self) -> list[SessionTimes]:
        """Every session, oldest first."""
        return _xnys_sessions(self.first_day, self.last_day)

    def part(self, first_day: date, last_day: date) -> Sessions:
        """The sessions of a shorter range, without building the calendar again."""
        part = Sessions(first_day, last_day)
        part.all = [session for session in self.all if first_day <= session.date <= last_day]
        return part

    @cached_property
    def _by_day(self) -> dict[date, int]:
        return {session.date: index for index, session in enumerate(self.all)}

    @cached_property
    def _days(self) -> list[date]:
        return [session.date for session in self.all]

    @cached_property
    def _opens_ns(self) -> list[int]:
        return [session.open_ns for session in self.all]

    @cached_property
    def _closes_ns(self) -> list[int]:
        return [session.close_ns for session in self.all]

    def index(self, day: date) -> int:
        """The place of that day's session in `all`; LookupError when it is none."""
        return self._by_day[day]

    def on(self, day: date) -> SessionTimes | None:
        index = self._by_day.get(day)
        return None if index is None else self.all[index]

    def at_or_after(self, ts_ns: int) -> SessionTimes:
        """The running or the next session; LookupError after the last close."""
        index = bisect_right(self._closes_ns, ts_ns)
        if index == len(self.all):
            raise LookupError(f"the market's last session is {self.last_day}")
        return self.all[index]

    def before(self, day: date, count: int) -> list[SessionTimes]:
        """The last `count` sessions before `day`, oldest first."""
        end = bisect_left(self._days, day)
        return self.all[max(0, end - count) : end]

    def between(self, before: date, after: date) -> list[SessionTimes]:
        """The sessions after the one day and before the other, oldest first."""
        return self.all[bisect_right(self._days, before) : bisect_left(self._days, after)]

    def opened_by(self, ts_ns: int) -> int:
        """How many sessions had opened at `ts_ns`: `all[:n]`."""
        return bisect_right(self._opens_ns, ts_ns)
