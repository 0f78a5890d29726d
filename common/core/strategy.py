"""Decider of signal_engine: two EMAs over all daily closes, their side, and what to hold on it.

hears: DailyHistory, DailyBar, Session, VixLevel.   says: Signal, SignalChanged, TargetPosition,
Alert.   A target for a session stands on the FINAL signal of the close before it; without one there
is none, and the old one's validity has ended. Source: docs/spec.md section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from common import settings as settings_file
from common.core import rules
from common.core.rules import SECOND_NS
from common.messages import (
    Alert,
    DailyBar,
    DailyHistory,
    Message,
    Now,
    Session,
    Side,
    Signal,
    SignalChanged,
    Started,
    TargetPosition,
    VixLevel,
)
from common.settings import Settings, Strategy

AGREE_FRACTION = 0.001  # within which two readings of one daily close agree
DELAYED_S = 900.0  # the age of delayed data when it arrives
WHY_REPEAT_S = 60.0  # market time between two targets that differ in their reason only
PRICE_USD_MAX = 1e6


class State(Struct):
    settings: Settings
    days: tuple[date, ...] = ()
    closes: tuple[float, ...] = ()
    provisional: DailyBar | None = None
    session: Session | None = None
    vix: VixLevel | None = None
    final: Signal | None = None
    rebuilt: bool = True  # the closes changed otherwise than by one more since `final` was said
    newest: Signal | None = None
    target: TargetPosition | None = None
    target_ns: int = 0
    revised: str = ""
    alerts: dict[str, str] = {}


def start(settings: Settings) -> State:
    return State(settings=settings)


def evolve(state: State, now: Now, message: Message) -> None:
    """The only place that changes the state."""
    match message:
        case Started(settings_json=text):
            state.settings = settings_file.from_json(text)
            state.rebuilt = True
        case DailyHistory(days=days, closes_usd=closes):
            state.rebuilt = True
            state.revised = revision(state.days, state.closes, days, closes)
            state.days, state.closes = days, closes
        case DailyBar(final=False):
            state.provisional = message
        case DailyBar(day=day, close_usd=close) if state.days and day > state.days[-1]:
            state.days, state.closes = (*state.days, day), (*state.closes, close)
        case Session():
            state.session = message
        case VixLevel():
            state.vix = message
        case Signal():
            state.newest = message
            if message.final:
                state.final = message
                state.rebuilt = False
        case TargetPosition():
            state.target, state.target_ns = message, now.market_ns
        case Alert(code=code, text=text, raised=raised):
            state.alerts.pop(code, None)
            if raised:
                state.alerts[code] = text


def decide(state: State, now: Now, message: Message) -> list[Message]:
    """Facts that `message` or the time calls for. Reads the state only."""
    news = isinstance(message, (DailyHistory, DailyBar, Started))
    signals = _signals(state) if news else []
    final = next((s for s in signals if isinstance(s, Signal) and s.final), state.final)
    return [*signals, *_target(state, now, final), *_alerts(state, now, final)]


def ready(state: State) -> str:
    """Why there is no signal yet, or ""."""
    if not state.closes:
        return "waiting for the daily history"
    if _short(state):
        return _short(state)
    return "" if state.session is not None else "waiting for the session times"


def busy(_state: State) -> bool:
    return False


# --- signal ------------------------------------------------------------------------------------


def signal_of(days: Sequence[date], closes: Sequence[float], strategy: Strategy) -> Signal:
    """The final signal over daily closes, oldest first (at least one)."""
    fast = slow = closes[0]
    side = 0
    for close in closes:
        fast = rules.ema_step(fast, close, strategy.ema_fast)
        slow = rules.ema_step(slow, close, strategy.ema_slow)
        side = rules.side_of(fast, slow, side)
    return _signal(days[-1], fast, slow, side, len(closes), strategy, final=True)


def signal_after(
    before: Signal, day: date, close_usd: float, strategy: Strategy, *, final: bool
) -> Signal:
    """The signal of one more close: the same as over all closes, the EMAs being recursive."""
    fast = rules.ema_step(before.fast_usd, close_usd, strategy.ema_fast)
    slow = rules.ema_step(before.slow_usd, close_usd, strategy.ema_slow)
    side = rules.side_of(fast, slow, 1 if before.side == "BULL" else -1)
    return _signal(day, fast, slow, side, before.bars + 1, strategy, final=final)


def _final(state: State) -> Signal:
    """The final signal over the closes: the last one, or stepped on from it by one more close, or
    worked out anew."""
    days, closes, strategy = state.days, state.closes, state.settings.strategy
    known = state.final
    if known is not None and not state.rebuilt:
        if known.bars == len(closes):
            return known
        if known.bars == len(closes) - 1:
            return signal_after(known, days[-1], closes[-1], strategy, final=True)
    return signal_of(days, closes, strategy)


def _signal(
    day: date, fast: float, slow: float, side: int, bars: int, strategy: Strategy, *, final: bool
) -> Signal:
    """A series that never moved has no side yet; it counts as BEAR, so nothing is bought on it."""
    flip = rules.flip_close(fast, slow, strategy.ema_fast, strategy.ema_slow)
    return Signal(
        day=day,
        fast_usd=fast,
        slow_usd=slow,
        side="BULL" if side > 0 else "BEAR",
        final=final,
        bars=bars,
        flip_close_usd=flip if 0.0 < flip <= PRICE_USD_MAX else None,
    )


def _signals(state: State) -> list[Message]:
    """The final signal where it is news, then the provisional one of a later close."""
    strategy = state.settings.strategy
    if not state.closes or _short(state):
        return []
    final = _final(state)
    said: list[Message] = []
    newest = state.newest
    if newest is None or (final.day >= newest.day and final != newest):
        said = [final, *_changed(state, final)]
        newest = final
    bar = state.provisional
    if bar is not None and bar.day > final.day:
        provisional = signal_after(final, bar.day, bar.close_usd, strategy, final=False)
        if provisional.day >= newest.day and provisional != newest:
            said += [provisional, *_changed(state, provisional)]
    return said


def _changed(state: State, signal: Signal) -> list[Message]:
    """A turn against the last final side, or against a provisional word that did not hold."""
    final, newest = state.final, state.newest
    if final is None or newest is None:
        return []
    before: Side = newest.side if newest.side != signal.side else final.side
    if before == signal.side or signal.day == final.day:
        return []
    return [SignalChanged(day=signal.day, before=before, after=signal.side, final=signal.final)]


# --- target ------------------------------------------------------------------------------------


def leverage_now(state: State, now: Now, session: Session) -> tuple[float, str]:
    """The table's leverage and its reason. Only a VIX of the running session counts."""
    table, vix = state.settings.leverage, state.vix
    if not session.open_ns <= now.market_ns < session.close_ns:
        return table.base, "base: the VIX counts within the session only"
    if vix is None or vix.tick_ns < session.open_ns:
        return table.base, "base: no VIX in this session"
    if vix.kind == "none":
        return table.base, "base: the VIX moves so fast that no two samples agree"
    if vix.kind not in {"live", "delayed"}:
        return table.base, f"base: the VIX is {vix.kind}"
    age_s = (now.market_ns - vix.tick_ns) / SECOND_NS + (
        DELAYED_S if vix.kind == "delayed" else 0.0
    )
    if age_s > table.vix_age_s_max:
        return table.base, f"base: the VIX is older than {table.vix_age_s_max / 60:g} min"
    leverage = rules.leverage_for_vix(vix.level, table.base, table.vix_below, table.leverage)
    return leverage, f"VIX {vix.level:.2f}"


def _target(state: State, now: Now, final: Signal | None) -> list[Message]:
    session = state.session
    if session is None or final is None or _short(state):
        return []
    today = now.market_ns < session.close_ns
    if final.day != (session.previous_day if today else session.day):
        return []
    leverage, why = 0.0, "BEAR"
    if final.side == "BULL":
        leverage, why = leverage_now(state, now, session)
    target = TargetPosition(
        day=session.day if today else session.next_day,
        signal_day=final.day,
        leverage=leverage,
        leverage_why=why,
        valid_until_ns=session.close_ns if today else session.next_close_ns,
    )
    return [target] if _is_news(state, now, target) else []


def _is_news(state: State, now: Now, target: TargetPosition) -> bool:
    """Its reason alone (the VIX moved within its tier) is said once a minute."""
    said = state.target
    if said is None or said == target:
        return said is None
    same = (said.day, said.signal_day, said.leverage, said.valid_until_ns) == (
        target.day, target.signal_day, target.leverage, target.valid_until_ns
    )  # fmt: skip
    return not same or now.market_ns - state.target_ns >= WHY_REPEAT_S * SECOND_NS


# --- alerts ------------------------------------------------------------------------------------


def revision(
    old_days: Sequence[date],
    old_closes: Sequence[float],
    days: Sequence[date],
    closes: Sequence[float],
) -> str:
    """How a new history contradicts the one before, or "".

    All common days may change by one split's ratio, since the whole series is on one scale.
    """
    before = dict(zip(old_days, old_closes, strict=True))
    ratios = [
        (day, close / before[day]) for day, close in zip(days, closes, strict=True) if day in before
    ]
    if not ratios:
        return ""
    scale = ratios[-1][1]
    if abs(scale - 1.0) > AGREE_FRACTION and not rules.is_split(scale):
        return f"the close of {ratios[-1][0]} changed by {scale - 1.0:+.2%}, which is no split"
    odd = [day for day, ratio in ratios if abs(ratio / scale - 1.0) > AGREE_FRACTION]
    if odd:
        return f"{len(odd)} daily closes were revised, the first of {odd[0]}"
    return ""


def _short(state: State) -> str:
    strategy = state.settings.strategy
    needed = strategy.history_slow_multiple * strategy.ema_slow
    if len(state.closes) >= needed:
        return ""
    return (
        f"{len(state.closes)} daily bars are fewer than strategy.history_slow_multiple x "
        f"strategy.ema_slow = {needed}: raise strategy.history_years"
    )


def _conditions(state: State, now: Now, final: Signal | None) -> dict[str, str]:
    found = {}
    if state.closes and _short(state):
        found["history_short"] = _short(state)
    if state.revised:
        found["history_revised"] = (
            f"the broker's daily history differs from before: {state.revised}"
        )
    session = state.session
    running = session is not None and session.open_ns <= now.market_ns < session.close_ns
    if running and session and final is not None and final.day < session.previous_day:
        found["no_target"] = (
            f"no final signal of {session.previous_day}: no entry, the position is kept"
        )
    return found


def _alerts(state: State, now: Now, final: Signal | None) -> list[Message]:
    """Raised while the condition lasts, ended once."""
    wanted = _conditions(state, now, final)
    raised: list[Message] = [
        Alert(level="page", code=code, text=text, raised=True)
        for code, text in wanted.items()
        if state.alerts.get(code) != text
    ]
    ended: list[Message] = [
        Alert(level="page", code=code, text=text, raised=False)
        for code, text in state.alerts.items()
        if code not in wanted
    ]
    return raised + ended
