"""A recorded run beside the backtest of the same days. Pure.

They agree on a session when signal, side, entries with their leverage, and exits with their reason
are the same, in the same order. Prices, and sizes with them, may differ: a live order is filled at
the market some seconds after the decision, one of a backtest at the price decided on. How much
they differ is shown. Sizes are judged apart: fed the live price, equity and VIX, the backtest must
buy the same number of shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from msgspec import Struct, structs

from common.messages import Message, Now
from services.backtest import event_path
from services.backtest.decisions import Decided, Said, Step, by_day
from services.backtest.history import History, Quotation
from services.backtest.options import Options, gross
from services.backtest.recorded import Recording
from services.backtest.result import Result
from services.backtest.sheet import lay_out

BASIS_POINT = 1e-4


class Fill(Struct, frozen=True):
    """The same entry or exit in both: USD per share. `worse_bp`: what live got worse, in bp."""

    kind: str
    live_usd: float
    backtest_usd: float
    worse_bp: float


class Sized(Struct, frozen=True):
    """A live entry, and what the backtest buys when fed the same price, equity and VIX.

    Entries that the margin rule made smaller are left out: the broker's figures decided their size.
    """

    price_usd: float
    equity_usd: float
    leverage: float
    live_shares: int
    backtest_shares: int


class DayCompared(Struct, frozen=True):
    """One session. `why`: what explains a difference, in decisions first, else in the fills.

    `clamped`: entries that the margin rule made smaller.
    """

    day: date
    live: str
    backtest: str
    same: bool
    live_return: float
    backtest_return: float
    fills: tuple[Fill, ...]
    sized: tuple[Sized, ...]
    clamped: int
    why: str


class Comparison(Struct, frozen=True):
    """`bars`: what the backtest walked along. `left_out`: days that cannot be compared, and why."""

    days: tuple[DayCompared, ...]
    bars: str
    live_return: float
    backtest_return: float
    left_out: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        return all(day.same for day in self.days)

    @property
    def sizes_agree(self) -> bool:
        return all(s.live_shares == s.backtest_shares for day in self.days for s in day.sized)


class NothingToCompareError(Exception):
    """The run holds no day that a backtest could be compared with; the text says why."""


def compare(recording: Recording, risk: Iterable[Said], *, fine: bool = True) -> Comparison:
    """The run's decisions and those of its backtest, session by session.

    `fine`: along the prices that the system heard, minute by minute; else by daily bars alone, as
    `trader backtest` would without intraday files. OptionsError where the run's settings have no
    backtest.
    """
    begin = recording.begin
    if begin is None:
        raise NothingToCompareError(_why_nothing(recording))
    options = recording.options(begin)
    history = recording.history(fine=fine)
    result, said = _backtest(history, options)
    live, back = by_day(risk), by_day(said)
    returns = _returns(result)
    days: list[DayCompared] = []
    apart_since: date | None = None
    for day in (whole for whole in recording.whole_days if whole >= begin):
        sized = tuple(
            _sized(recording, history, options, day, entry)
            for entry in live[day].entries
            if not entry.clamped
        )
        fills = tuple(_fills(live[day], back[day]))
        same = live[day].decision == back[day].decision
        if live[day].held_before == back[day].held_before:
            apart_since = None
        days.append(
            DayCompared(
                day=day,
                live=in_words(live[day]),
                backtest=in_words(back[day]),
                same=same,
                live_return=recording.summaries[day].return_fraction,
                backtest_return=returns[day],
                fills=fills,
                sized=sized,
                clamped=len(live[day].entries) - len(sized),
                why=_remarks(live[day], fills)
                if same
                else _why(recording, live[day], back[day], apart_since),
            )
        )
        apart_since = apart_since or day
    return Comparison(
        days=tuple(days),
        bars="minutes" if fine else "daily",
        live_return=_compound([day.live_return for day in days]),
        backtest_return=_compound([day.backtest_return for day in days]),
        left_out=tuple(_left_out(recording, begin)),
    )


def _backtest(history: History, options: Options) -> tuple[Result, list[Said]]:
    said: list[Said] = []

    def told(now: Now, message: Message) -> None:
        said.append((now, message))

    return event_path.run_sheet(lay_out(history, options), options, told), said


def _sized(
    recording: Recording, history: History, options: Options, day: date, entry: Step
) -> Sized:
    """The entry alone, by the whole event path, from the equity that it was sized on."""
    vix = [level for at_ns, level in recording.vix.get(day, ()) if at_ns <= entry.market_ns]
    fed = replace(
        history.until(day), intraday={}, vix=Quotation((day,), (vix[-1] if vix else 0.0,))
    )
    options = gross(
        structs.replace(
            options, first=day, last=day, start_equity_usd=entry.equity_usd, margin="off"
        )
    )
    sheet = lay_out(fed, options)
    prices = sheet.entry_usd.copy()
    prices[-1] = entry.sized_usd
    trades = event_path.run_sheet(sheet._replace(entry_usd=prices), options).trades
    return Sized(
        price_usd=entry.sized_usd,
        equity_usd=entry.equity_usd,
        leverage=entry.leverage,
        live_shares=entry.shares,
        backtest_shares=int(trades[0].shares) if trades else 0,
    )


def _returns(result: Result) -> dict[date, float]:
    equity = [result.options.start_equity_usd, *result.equity_usd.tolist()]
    return {
        day: after / before - 1.0 if before else 0.0
        for day, before, after in zip(result.days, equity[:-1], equity[1:], strict=True)
    }


def _compound(returns: Sequence[float]) -> float:
    total = 1.0
    for one in returns:
        total *= 1.0 + one
    return total - 1.0


# --- words ---------------------------------------------------------------------------------------


def in_words(decided: Decided) -> str:
    """ "BULL: stop, enter 3x"; a day without a step says that it held or stayed out."""
    steps = [
        f"enter {step.leverage:g}x" if step.kind == "enter" else WORDS.get(step.cause, step.cause)
        for step in decided.steps
    ]
    idle = "hold" if decided.held else "stay out"
    return f"{decided.side or 'no signal'}: {', '.join(steps) or idle}"


WORDS = {"stop": "stop", "bear": "bear exit", "flatten": "flatten"}


def _fills(live: Decided, back: Decided) -> list[Fill]:
    """The steps that both took, as long as they go alike."""
    found = []
    for one, other in zip(live.steps, back.steps, strict=False):
        if one.decision != other.decision:
            break
        worse = one.price_usd / other.price_usd - 1.0
        if one.kind == "leave":
            worse = -worse
        kind = "entry" if one.kind == "enter" else WORDS.get(one.cause, one.cause)
        found.append(Fill(kind, one.price_usd, other.price_usd, worse / BASIS_POINT))
    return found


def _remarks(live: Decided, fills: Sequence[Fill]) -> str:
    """What a day of the same decisions differs in."""
    clamped = dict.fromkeys(f"margin: {entry.clamped}" for entry in live.entries if entry.clamped)
    return "; ".join(filter(None, (_fill_words(fills), *clamped)))


def _fill_words(fills: Sequence[Fill]) -> str:
    """ "stop -$0.41 (15.8 bp worse)": live less backtest, and what that meant for live."""
    return ", ".join(
        f"{fill.kind} {'-' if fill.live_usd < fill.backtest_usd else '+'}"
        f"${abs(fill.live_usd - fill.backtest_usd):,.2f} "
        f"({abs(fill.worse_bp):.1f} bp {'worse' if fill.worse_bp > 0 else 'better'})"
        for fill in fills
    )


def _why(recording: Recording, live: Decided, back: Decided, apart_since: date | None) -> str:
    """The likeliest cause of another decision, the surest first."""
    if apart_since is not None:
        return f"the positions differ since {apart_since}"
    if live.side != back.side:
        return f"the live signal stood on {live.signal_day}, the backtest's on {back.signal_day}"
    if any(step.cause == "flatten" for step in live.steps):
        return "a person sold"
    if len(live.stops) != len(back.stops):
        return _near_the_stop(recording, live, back)
    if live.refused:
        return live.refused
    levers = [(one.why, other.why) for one, other in zip(live.entries, back.entries, strict=False)]
    return "; ".join(f"live {one}, backtest {other}" for one, other in levers if one != other)


def _near_the_stop(recording: Recording, live: Decided, back: Decided) -> str:
    """How far the lowest price stayed from both levels."""
    lowest = recording.lowest_usd(live.day)
    levels = [step.level_usd for step in (*live.stops, *back.stops)]
    stopped = "the live system" if len(live.stops) > len(back.stops) else "the backtest"
    cleared = f"; {live.cleared}" if live.cleared else ""
    at = ", ".join(f"${level:,.2f}" for level in levels)
    return f"only {stopped} stopped: level {at}, lowest price heard ${lowest:,.2f}{cleared}"


def _left_out(recording: Recording, begin: date) -> list[str]:
    """The days before the first flat one, and those not followed to their end."""
    whole = set(recording.whole_days)
    found = []
    for day in sorted(recording.sessions):
        if day in whole and day < begin:
            found.append(f"{day}: began with a position from before the recording")
        elif day not in whole and day in recording.minutes:
            found.append(f"{day}: not followed to its end")
    return found


def _why_nothing(recording: Recording) -> str:
    if not recording.whole_days:
        return "no session was followed to its end"
    return "every session began with a position from before the recording"
