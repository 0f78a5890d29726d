"""False and masked stops: bad prints, splits and flows, each alone and beside a true breach.

The feed's decider judges raw ticks, the risk monitor's decider judges what it makes of them, one
virtual clock moves both. Alone, nothing may fire. With a true breach it fires within 3 s of market
time after it can be seen; where a split is under way, within 3 s of the share count that explains
it: until then the price cannot be told from the split's, which pages.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from common.clock import SECOND_NS
from common.messages import (
    FeedState,
    Message,
    OpeningPrint,
    Quote,
    Session,
    StopHit,
    Tick,
)
from common.settings import Settings
from common.tws.market_messages import ASK, BID, LAST, RawTick, RawTicks
from tests.core.feed_play import MONDAY, SMH, FeedPlay, ns
from tests.core.risk_play import CASH_USD, RiskDay, session
from tests.fuzz.target import Broken, Tally, Target
from tests.playbook import of

SHARES, OPEN_USD = 7500, 400.0
BREACH_USD = 397.0  # -0.75 % at 3x: 2.25 % of equity
CALM_USD = 399.5
SEEN_WITHIN_S = 3.0
TO_RISK = (Quote, OpeningPrint, FeedState)
JUNK = (float("nan"), float("inf"), -1.0, 0.0, 1.8e308, 1e-9, 1e7)
RATIOS = (2.0, 1.5, 3.0, 4.0, 5.0, 10.0, 20.0, 0.1, 0.5, 1 / 3, 0.2)
TICK_S = 0.25


class QuickFeed(FeedPlay):
    """Without the second state that a journal would give; test_quotes_* keep that."""

    def _hear(self, message: Message) -> list[Message]:
        return _step(self, message)


class QuickRisk(RiskDay):
    """The same for the risk monitor."""

    def _hear(self, message: Message) -> list[Message]:
        return _step(self, message)


def _step(play: FeedPlay | RiskDay, message: Message) -> list[Message]:
    play.decider.evolve(play.state, play.now, message)
    outputs: list[Message] = play.decider.decide(play.state, play.now, message)
    for output in outputs:
        play.decider.evolve(play.state, play.now, output)
    play.said += outputs
    return outputs


class Market:
    """A session with 7,500 shares at 3x; every tick goes through the feed to the risk monitor."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.feed = QuickFeed(Settings())
        hours = _session_of(self.feed)
        self.risk = QuickRisk(
            Settings(), "09:29", held=SHARES, cash_usd=CASH_USD - SHARES * OPEN_USD, hours=hours
        )
        self.ratio = 1.0
        self.hit_ns = 0
        self.until(ns(MONDAY, 9, 30))
        self.quote(OPEN_USD)
        self.say(RawTick(type=14, value=OPEN_USD))
        for _ in range(30):
            self.quote(OPEN_USD)

    @property
    def now_ns(self) -> int:
        return self.feed.now.market_ns

    def until(self, market_ns: int) -> None:
        for play in (self.feed, self.risk):
            play.wait_until(market_ns)

    def say(self, *ticks: RawTick, after_s: float = TICK_S) -> None:
        """One chunk of ticks, and what follows from it; then a tick of both loops."""
        self.until(self.now_ns + round(after_s * SECOND_NS))
        said = self.feed.hear(RawTicks(symbol=SMH, ticks=ticks)) + self.feed.hear(Tick())
        for fact in said:
            if isinstance(fact, TO_RISK):
                self._risk(fact)
        self._risk(Tick())

    def _risk(self, message: Message) -> None:
        if of(StopHit, self.risk.hear(message)) and not self.hit_ns:
            self.hit_ns = self.now_ns

    def quote(self, usd: float, after_s: float = TICK_S) -> None:
        """An honest quote and print at this price per share of today."""
        usd = round(usd / self.ratio, 4)
        self.risk.mark_usd = usd
        half = min(0.005, usd * 1e-5)
        self.say(tick(BID, usd - half), tick(ASK, usd + half), tick(LAST, usd), after_s=after_s)

    def shares_follow(self) -> None:
        """The broker counts the shares in new ones."""
        self.risk.held = round(SHARES * self.ratio)
        for _ in range(14):
            self.risk.account()
            self.quote(self.risk.mark_usd * self.ratio)

    def calm(self, seconds: float, usd: float = CALM_USD) -> None:
        """Honest quotes above the stop."""
        end_ns = self.now_ns + round(seconds * SECOND_NS)
        while self.now_ns < end_ns:
            self.quote(usd)

    def seen_in_time(self, what: str) -> None:
        """From now on the price is through the stop, and stays there."""
        from_ns = self.now_ns
        while not self.hit_ns and self.now_ns < from_ns + 20 * SECOND_NS:
            self.quote(BREACH_USD)
        late_s = (self.hit_ns - from_ns) / SECOND_NS
        if not self.hit_ns or late_s > SEEN_WITHIN_S + TICK_S:
            raise Broken(f"masked: {what} and a true breach, seen after {late_s:.2f} s")

    def nothing_fired(self, what: str) -> None:
        if self.hit_ns:
            raise Broken(f"a false stop: {what}: {self.risk.all(StopHit)}")


def tick(kind: int, usd: float) -> RawTick:
    return RawTick(type=kind, value=usd)


def _session_of(feed: FeedPlay) -> Session:
    said = feed.all(Session)
    return said[-1] if said else session()


# --- bad prints --------------------------------------------------------------------------------


def bad_print(market: Market) -> str:
    """One wrong print or quote, and the honest one after it. What it was."""
    rng = market.rng
    wild = CALM_USD * rng.choice((0.5, 0.9, 0.95, 0.98, 0.99, 0.992, 1.01, 1.1, 2.0, 0.01))
    junk = rng.choice(JUNK)
    kinds: tuple[tuple[str, tuple[RawTick, ...]], ...] = (
        (f"last {wild}", (tick(LAST, wild),)),
        (f"bid {wild}", (tick(BID, wild),)),
        (f"ask {wild}", (tick(ASK, wild),)),
        (f"quote {wild}", (tick(BID, wild), tick(ASK, wild + 0.01))),
        ("crossed", (tick(BID, CALM_USD + 5), tick(ASK, CALM_USD - 5))),
        (f"junk {junk}", tuple(tick(kind, junk) for kind in (BID, ASK, LAST))),
        (f"junk last {junk}", (tick(LAST, junk),)),
        ("one side", (tick(BID, junk), tick(LAST, wild))),
        ("wide and wild", (tick(BID, wild), tick(ASK, CALM_USD + 9), tick(LAST, wild))),
    )
    what, ticks = rng.choice(kinds)
    market.say(*ticks)
    return what


def stale_tape(market: Market) -> str:
    """The tape halts for a while: nothing comes at all."""
    pause_s = market.rng.uniform(1.0, 30.0)
    market.until(market.now_ns + round(pause_s * SECOND_NS))
    market._risk(Tick())
    return f"a silence of {pause_s:.1f} s"


# --- splits ------------------------------------------------------------------------------------


def split(market: Market) -> str:
    """The price falls by a ratio in the session, the share count follows before or after it."""
    rng = market.rng
    ratio = rng.choice(RATIOS)
    what = f"a split of {ratio:g}"
    first = rng.random() < 0.5
    if rng.random() < 0.3:
        what += " after " + stale_tape(market)
    market.ratio = ratio
    if first:
        market.risk.held = round(SHARES * ratio)
        market.risk.mark_usd = CALM_USD / ratio
        market.risk.account()
        what += ", shares first"
    for _ in range(rng.randrange(1, 40)):
        market.quote(CALM_USD)
    market.nothing_fired(what)
    market.shares_follow()
    return what


# --- flows -------------------------------------------------------------------------------------


def flow(market: Market) -> str:
    """Money comes or goes, a dividend is paid, other holdings move: all of it seen at once."""
    risk, rng = market.risk, market.rng
    amount = rng.choice((-0.5, -0.1, -0.021, -0.019, 0.019, 0.1, 2.0)) * CASH_USD
    what = rng.choice(("cash", "others", "dividend"))
    if what == "cash":
        risk.cash_usd += amount
    elif what == "others":
        risk.other_usd += amount
    else:
        amount = SHARES * 0.6
        risk.accrued_usd += amount
    risk.account()
    return f"{what} {amount:,.0f}"


Act = Callable[[Market], str]


def trouble(kind: Act, rng: random.Random, times: int) -> None:
    """`times` of it alone, then once more beside a true breach."""
    market = Market(rng)
    for _ in range(times):
        what = kind(market)
        market.nothing_fired(what)
        market.calm(3.0)
        market.nothing_fired(what)
    what = kind(market)
    market.nothing_fired(what)
    market.seen_in_time(what)


def bad_prints(rng: random.Random, messages: int, _folder: Path) -> Tally:
    """In tens: nine alone, the tenth beside a breach. Accepted: played and right."""
    for _ in range(-(-messages // 10)):
        trouble(rng.choice((bad_print, bad_print, bad_print, stale_tape)), rng, 9)
    return Tally(accepted=messages)


def splits(rng: random.Random, messages: int, _folder: Path) -> Tally:
    """Each alone, and one beside a breach."""
    for _ in range(messages):
        trouble(split, rng, 0)
        market = Market(rng)
        what = split(market)
        market.calm(10.0)
        market.nothing_fired(what)
    return Tally(accepted=messages)


def flows(rng: random.Random, messages: int, _folder: Path) -> Tally:
    """Each alone, then one at the very instant of a breach."""
    for _ in range(messages):
        trouble(flow, rng, 1)
    return Tally(accepted=messages)


TARGETS = (
    Target("bad-prints", "wild, crossed, stale and senseless ticks", bad_prints, 200, 0.001),
    Target("splits", "share count before or after the price", splits, 20, 0.0001),
    Target("flows", "deposits, dividends, other holdings", flows, 20, 0.0001),
)
