"""Market instants as the texts TWS writes and reads, always New York local."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache

from common.clock import MINUTE_NS, NEW_YORK, SECOND_NS
from services.sim_tws.wire import FieldError

HOUR_NS = 60 * MINUTE_NS
ZONE_NAME = "US/Eastern"
ZONED_DATES = 174  # from this server version on, dates with a time name their zone


def new_york(ts_ns: int) -> datetime:
    return datetime.fromtimestamp(ts_ns // SECOND_NS, NEW_YORK)


def new_york_date(ts_ns: int) -> date:
    return _new_york_date_at(ts_ns // HOUR_NS)


@lru_cache(maxsize=256)
def _new_york_date_at(utc_hour: int) -> date:
    """Within an hour of UTC it does not change: New York is whole hours off."""
    return new_york(utc_hour * HOUR_NS).date()


def instant_ns(day: date, hour: int, minute: int = 0) -> int:
    """UTC nanoseconds of a New York wall time."""
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)
    return int(local.timestamp()) * SECOND_NS


def new_york_text(ts_ns: int, version: int) -> str:
    """`20250415 19:38:31 US/Eastern`; below 174 two spaces and no zone."""
    local = new_york(ts_ns)
    if version >= ZONED_DATES:
        return f"{local:%Y%m%d %H:%M:%S} {ZONE_NAME}"
    return f"{local:%Y%m%d  %H:%M:%S}"


def utc_text(ts_ns: int) -> str:
    """`20250415-23:38:31`: the same instant, which such a text gives in UTC."""
    return f"{datetime.fromtimestamp(ts_ns // SECOND_NS, UTC):%Y%m%d-%H:%M:%S}"


def read_instant_ns(text: str) -> int:
    """`yyyymmdd hh:mm:ss [zone]` (New York or UTC) or `yyyymmdd-hh:mm:ss` (UTC), since 1970."""
    words = text.split()
    try:
        if len(words) == 1 and "-" in text:
            local = datetime.strptime(text, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        elif len(words) == 1:
            local = datetime.strptime(text, "%Y%m%d").replace(tzinfo=NEW_YORK)
        else:
            zone = UTC if len(words) > 2 and words[2] in {"UTC", "GMT"} else NEW_YORK
            local = datetime.strptime(" ".join(words[:2]), "%Y%m%d %H:%M:%S").replace(tzinfo=zone)
        since_s = int(local.timestamp())
    except (ValueError, OverflowError):
        since_s = -1
    if since_s < 0:
        raise FieldError(f"'{text[:40]}' is not yyyymmdd hh:mm:ss")
    return since_s * SECOND_NS
