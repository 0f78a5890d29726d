"""What the data do not hold for a run, in sentences: its figures are never shown without them.

`first_entry_day` is the rule behind the first of them: too little history trades nothing, and a
run that could not trade on any of its days is refused.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date

from services.backtest.history import RATES_AGE_MAX_DAYS, History
from services.backtest.options import Options, OptionsError

DAYS_NAMED = 3


def first_entry_day(history: History, options: Options) -> date | None:
    """The first day, of those asked for, with enough closes before it; None where none has."""
    days = history.days
    begin = bisect_left(days, options.first) if options.first else 0
    known_from = bisect_left(days, options.ema_from) if options.ema_from else 0
    own_close = 1 if options.decide_at == "close" else 0
    at = max(begin, known_from + closes_needed(options) - own_close)
    if at >= len(days) or (options.last and days[at] > options.last):
        return None
    return days[at]


def closes_needed(options: Options) -> int:
    """Closes before a first entry."""
    return options.history_slow_multiple * options.ema_slow


def require_an_entry(history: History, options: Options) -> None:
    """OptionsError where no day could see one, since too few closes came before it."""
    days = history.days
    if first_entry_day(history, options) is not None:
        return
    until = options.last or (days[-1] if days else None)
    if not days or (options.first and options.first > days[-1]):
        raise OptionsError(f"no session from {options.first} on: the data end on {until}")
    known = sum(day <= until for day in days) if until else 0
    raise OptionsError(
        f"no entry is possible up to {until}: the data have {known:,} sessions from {days[0]}, and "
        f"{closes_needed(options):,} closes must come before an entry "
        f"({options.history_slow_multiple} x --slow {options.ema_slow}): get older rows "
        "(`trader history --data DIR`), or lower --slow or --history-slow-multiple"
    )


def caveats(history: History, options: Options, days: Sequence[date]) -> list[str]:
    """What must be known beside the figures of a run over `days`."""
    return [*untradable_exit(options), *waiting(history, options, days[0]),
            *vix_gaps(history, options, days), *rates_gap(history, options, days[-1])]  # fmt: skip


def untradable_exit(options: Options) -> Iterator[str]:
    """That a bear signal sold where the live system does not, or where nobody can."""
    if options.bear_exit == "close":
        yield (
            "Not tradable: with --bear-exit close a bear signal sells at the very close that "
            "turned it, which is known only when the market is shut."
        )
    elif options.bear_exit == "next_close":
        yield (
            "Not what trades: with --bear-exit next_close a bear signal sells a session late, at "
            "the close; the live system sells at the next open."
        )


def waiting(history: History, options: Options, begin: date) -> Iterator[str]:
    """That the first days cannot trade."""
    first = first_entry_day(history, options)
    if first is not None and first > begin:
        yield (
            f"The first entry may come on {first}, not on {begin}: until then fewer than "
            f"{closes_needed(options):,} closes are known."
        )


def vix_gaps(history: History, options: Options, days: Sequence[date]) -> Iterator[str]:
    """Where the last known VIX, or none, chose the leverage; live, the base leverage stands in."""
    if not options.vix_below:
        return
    levels = history.vix.days
    if not levels:
        yield "There is no VIX: the base leverage throughout."
        return
    known = {*levels, *history.vix_intraday}
    missing = [day for day in days if day not in known]
    live = f"live would take {options.leverage_base:g}x there"
    before = sum(day < levels[0] for day in missing)
    if before:
        yield (
            f"The VIX begins on {levels[0]}: the base leverage for the {before:,} sessions "
            "before it."
        )
    holes = [day for day in missing if levels[0] < day < levels[-1]]
    if holes:
        named = ", ".join(str(day) for day in holes[:DAYS_NAMED])
        more = f" and {len(holes) - DAYS_NAMED:,} more" if len(holes) > DAYS_NAMED else ""
        yield f"The VIX has no level on {named}{more}: the last known one counts there; {live}."
    after = sum(day > levels[-1] for day in missing)
    if after:
        yield (
            f"The VIX ends on {levels[-1]}: its last value stands for the {after:,} sessions "
            f"after it; {live}."
        )


def rates_gap(history: History, options: Options, last: date) -> Iterator[str]:
    """That interest was reckoned at a rate of long ago."""
    if not options.interest or not history.rates.days:
        return
    known_to, rate = history.rates.days[-1], history.rates.values[-1]
    if (last - known_to).days > RATES_AGE_MAX_DAYS:
        yield (
            f"The interest rates end on {known_to}: the last of them, {rate:g} %, stands for the "
            "nights after it."
        )
