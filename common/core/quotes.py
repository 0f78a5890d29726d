"""Decider of market_feed: what TWS says about SMH and the VIX, as facts that others may trust.

hears: raw ticks, codes and answers of its own data-only TWS connection; BrokerLink, whether this
machine's clock runs ahead of the broker's.
says: Quote, VixLevel, Session, OpeningPrint, Distribution, DailyHistory, DailyBar, FeedState,
Alert.
asks its edge: Subscribe, AskContract, ReadHistory, ReadCalendar; each question is asked again until
it is answered well. Ticks are decided on one by one; everything else is looked at on each Tick.
"""

from __future__ import annotations

from datetime import date
from typing import get_args

from common.core.feed import market_day
from common.core.feed.market_day import MINUTE_NS
from common.core.feed.price_book import near
from common.core.feed.state import (
    OPEN_FRACTION_MAX,
    VIX,
    State,
    agreed_ns,
    delayed,
    evolve,
    final_bars,
    prices_from_ns,
    session_age_s,
    start,
)
from common.core.feed.subscription import OPENING_S
from common.core.rules import SECOND_NS
from common.core.staleness import late
from common.messages import (
    TEXT_MAX,
    Alert,
    DailyBar,
    Distribution,
    FeedState,
    Message,
    Now,
    OpeningPrint,
    VixLevel,
)
from common.tws.market_messages import (
    AskContract,
    FeedMessage,
    HistoryRead,
    RawTicks,
    ReadCalendar,
    ReadHistory,
)

__all__ = ["EDGE_MESSAGES", "State", "busy", "decide", "evolve", "ready", "start"]

EDGE_MESSAGES: tuple[type[Message], ...] = get_args(FeedMessage)

VIX_REPEAT_NS = MINUTE_NS  # market time
STATE_REPEAT_NS = SECOND_NS  # host time


def decide(state: State, now: Now, message: Message) -> list[Message]:
    """Facts and effects that `message` or the time calls for. Reads the state only."""
    match message:
        case RawTicks(symbol=symbol) if symbol == VIX:
            return _vix(state) or _vix_unknown(state, now)
        case RawTicks():
            return [*state.quotes, *_opening(state, now)]
        case HistoryRead():
            return [*_history(state, message), *_due(state, now)]
        case _:
            return _due(state, now)


def _due(state: State, now: Now) -> list[Message]:
    """Everything that time alone makes due, each once."""
    said: list[Message] = []
    session = market_day.session_at(now.market_ns, state.hours, state.line)
    if session is not None and session != state.session:
        said.append(session)
    return [
        *said,
        *_vix_unknown(state, now),
        *_opening(state, now),
        *_distribution(state),
        *_provisional_bar(state, now),
        *_feed_state(state, now),
        *_alerts(state, now),
        *_questions(state, now),
    ]


def _vix(state: State) -> list[Message]:
    news, said = state.vix_news, state.vix_said
    if news is None:
        return []
    unchanged = said is not None and (said.level, said.kind) == (news.level, news.kind)
    if unchanged and said is not None and news.tick_ns - said.tick_ns < VIX_REPEAT_NS:
        return []
    return [news]


def _vix_unknown(state: State, now: Now) -> list[Message]:
    """A VIX that moves on before a second sample agrees is no level, nor is the one it left."""
    said = state.vix_said
    if said is None or said.kind == "none" or not state.vix_level.doubted(now.market_ns):
        return []
    return [VixLevel(tick_ns=now.market_ns, level=said.level, kind="none")]


def _opening(state: State, now: Now) -> list[Message]:
    session, said = state.session, state.opening_said
    mid_usd, print_usd, again = state.first_mid_usd, state.open_usd, state.opening_early
    if said is not None and said.official:
        if print_usd == said.price_usd:
            return []
        again = True
    if session is None:
        return []
    waited_ns = agreed_ns(state, now) - prices_from_ns(state, session)
    wait_over = waited_ns >= state.settings.stop.opening_print_wait_s * SECOND_NS
    if print_usd is not None and (
        wait_over if mid_usd is None else near(print_usd, mid_usd, OPEN_FRACTION_MAX)
    ):
        return [OpeningPrint(session.day, print_usd, official=True, corrected=again)]
    if said is None and mid_usd is not None and state.first_mid_borne_out and wait_over:
        return [OpeningPrint(session.day, mid_usd, official=False, corrected=again)]
    return []


def _distribution(state: State) -> list[Message]:
    """SMH's distribution on the session's day; what the closes do not say any more is taken back.

    A split's ratio is far beyond any distribution, and both closes follow it at their own time.
    """
    session, said = state.session, state.distribution_said
    if session is None or state.final_day != session.previous_day:
        return []
    paid_usd = market_day.distribution_usd(state.final_closes_usd, state.close_tick_usd)
    if paid_usd == (0.0 if said is None else said.distribution_usd):
        return []
    return [Distribution(session.day, paid_usd)]


def _provisional_bar(state: State, now: Now) -> list[Message]:
    session, day = state.session, state.prices
    if session is None or day is None or agreed_ns(state, now) < session.close_ns:
        return []
    if session.day in state.called_closed:
        return []  # a day's bar that never comes would end it
    if state.bar_said is not None and state.bar_said.day >= session.day:
        return []
    open_usd = state.open_usd if state.open_usd is not None else day.open_usd
    return [
        DailyBar(
            day=session.day,
            open_usd=open_usd,
            high_usd=max(day.high_usd, open_usd, day.last_usd),
            low_usd=min(day.low_usd, open_usd, day.last_usd),
            close_usd=day.last_usd,
            final=False,
        )
    ]


def _history(state: State, message: HistoryRead) -> list[Message]:
    """A good history, and the final bar in it where it is news; evolve has judged it."""
    if state.history.problem:
        return []
    bars = final_bars(state, message)
    final = market_day.final_bar(bars[-1])
    history = market_day.history_of(bars)
    return [history] if final == state.bar_said else [history, final]


def _feed_state(state: State, now: Now) -> list[Message]:
    newest = state.smh.tick.market_ns if state.smh.tick else 0
    news = FeedState(
        connected=state.linked and not state.cut,
        kind=state.smh.kind,
        halted=state.halt is not None,
        competing=state.smh.competing,
        tick_ns=newest,
        problem=problem(state, now)[:TEXT_MAX],
    )
    said, said_at = state.feed_said, state.feed_said_at
    if said is not None and said_at is not None:
        changed = (news.connected, news.kind, news.halted, news.competing, news.problem) != (
            said.connected, said.kind, said.halted, said.competing, said.problem
        )  # fmt: skip
        aged = now.host_ns - said_at.host_ns >= STATE_REPEAT_NS and newest != said.tick_ns
        if not changed and not aged:
            return []
    return [news]


def _alerts(state: State, now: Now) -> list[Message]:
    """Raised while the condition lasts, ended once."""
    wanted = _conditions(state, now)
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


def _conditions(state: State, now: Now) -> dict[str, str]:
    found = {}
    if state.calendar.problem:
        found["calendar"] = f"the exchange's calendar cannot be read: {state.calendar.problem}"
    elif state.session is not None and state.session.broker_agrees is False:
        found["calendar"] = (
            f"the broker's trading hours differ from the exchange's calendar around "
            f"{state.session.day}: no entries"
        )
    why = state.link_problem or state.history.problem
    if why:
        alarm_ns = int(state.settings.data.final_bar_alarm_minutes * MINUTE_NS)
        closed = [day for day in state.hours if day.close_ns + alarm_ns <= now.market_ns]
        if closed and (state.final_day or date.min) < closed[-1].day:
            found["final_bar"] = (
                f"no final daily bar of {closed[-1].day} yet: no entry before it is there ({why})"
            )
    return {code: text[:TEXT_MAX] for code, text in found.items()}


def _questions(state: State, now: Now) -> list[Message]:
    """What to ask the edge for now."""
    at_ns, years = now.market_ns, state.settings.strategy.history_years
    asked: list[Message] = []
    evening_ns = market_day.evening_before(at_ns, state.hours)
    if state.calendar.free(now) and (not state.hours or state.calendar.good_ns < evening_ns):
        asked.append(ReadCalendar(asked_ns=at_ns, years=years))
    if not state.linked or state.cut:
        return asked
    contract_old = state.contract.good_ns < evening_ns or not state.contract.good_ns
    if state.contract.free(now) and contract_old:
        asked.append(AskContract(asked_ns=at_ns))
    if state.line is None or state.session is None:
        return asked  # without the hours nobody could tell today's open from yesterday's
    for subscription in (state.smh, state.vix):
        subscribe = subscription.due(now, session_age_s(state, now))
        if subscribe is not None:
            asked.append(subscribe)
    needed_ns = market_day.history_needed_ns(at_ns, state.hours, delayed=delayed(state))
    answered = state.smh.answered  # when a bar is final depends on the delay
    if answered and state.history.free(now) and state.history.good_ns < max(1, needed_ns):
        asked.append(ReadHistory(asked_ns=at_ns, years=years))
    return asked


def ready(state: State) -> str:
    """Why the feed cannot serve yet, or ""."""
    if not state.linked:
        return state.link_problem or "connecting to TWS"
    if not state.hours:
        return state.calendar.problem or "reading the exchange's calendar"
    if state.line is None:
        return state.contract.problem or "asking TWS for the contract"
    if not state.smh.answered:
        return f"subscribing to {state.smh.symbol}"
    if state.final_day is None:
        return state.history.problem or "reading the daily history"
    return ""


def busy(state: State) -> bool:
    """A question is under way on which today's session or signal depends."""
    first_answers = (state.contract.waiting and state.line is None) or (
        state.calendar.waiting and not state.hours
    )
    return first_answers or state.history.waiting


def problem(state: State, now: Now) -> str:
    """The feed's trouble in one plain sentence with its mend, or ""."""
    symbol, data = state.smh.symbol, state.settings.data
    if not state.linked:
        return state.link_problem or "connecting to TWS"
    if state.cut:
        return "TWS has lost its link to IB (1100): it comes back by itself"
    if state.contract.problem or state.smh.problem:
        return state.contract.problem or state.smh.problem
    if session_age_s(state, now) <= OPENING_S:
        return ""
    if state.smh.stale(now, data.quote_age_s_max):
        return f"no {symbol} tick for more than {data.quote_age_s_max:g} s"
    if state.smh.kind in {"frozen", "delayed_frozen"}:
        return f"TWS sends frozen {symbol} data in the session: restart TWS"
    said_at = state.book.said_at
    if said_at is None or late(said_at, now, data.quote_age_s_max):
        return f"no valid {symbol} price: the quote is missing, crossed or wide, and nothing trades"
    return ""
