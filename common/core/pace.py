"""The plan of a simulated day: how fast market time runs, and when it must wait.

A session takes about `simulation.seconds_per_day` of host time: half of it for the minutes in which
everything happens (around the open, the entry and the close), a third for the quiet hours, the
rest for the evening and the night. Market time is never more than two steps ahead of the slowest
service, and no step passes the end of a stretch, so nothing that matters is run past at speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from common.clock import MINUTE_NS, SECOND_NS

STEP_NS = SECOND_NS // 20  # host time of one step: a beat of the services
LEASH_NS = 2 * STEP_NS  # host time's worth of market time ahead of the slowest service
FRESH_NS = 3 * SECOND_NS // 10  # host time for which a heartbeat counts
BUSY_SPEED = 5.0  # while an order or a question is under way: it takes host time, not market time
BUSY_NS_MAX = 60 * SECOND_NS  # so long: an order that stays unknown must not stop the days
WALK_AFTER_NS = 10 * SECOND_NS  # a service that lives but is not ready stops the market so long

# Shares of a day's host seconds, by gait.
SHARE = {"crawl": 0.20, "slow": 0.30, "quiet": 0.35, "settle": 0.10, "night": 0.05}

# At the open, at the entry and at the close each second matters.
CRAWL_BEFORE_NS = 5 * SECOND_NS
CRAWL_AFTER_NS = 30 * SECOND_NS

BEFORE_OPEN_NS = 1 * MINUTE_NS
AFTER_OPEN_NS = 5 * MINUTE_NS
BEFORE_CLOSE_NS = 11 * MINUTE_NS
AFTER_CLOSE_NS = 2 * MINUTE_NS
WARM_UP_NS = 5 * MINUTE_NS  # market time starts so long before the first open
SETTLE_NS = 20 * MINUTE_NS  # after the close: the final daily bar, with delayed data too


class SessionTimes(NamedTuple):
    """Open and close of one regular session, UTC ns."""

    open_ns: int
    close_ns: int


class Stretch(NamedTuple):
    """Market time up to `end_ns` (UTC ns) runs at `speed` market seconds per host second."""

    end_ns: int
    speed: float


class Beaten(NamedTuple):
    """The newest heartbeat of one service; `host_ns`: when it was heard."""

    host_ns: int
    ready: bool
    busy: bool
    caught_up_ns: int
    verdict: str


class Step(NamedTuple):
    """What the clock may do now: run at `speed` up to `limit_ns`; `held_by`: who stops it."""

    speed: float
    limit_ns: int
    held_by: str


def stretches(
    sessions: Sequence[SessionTimes], seconds_per_day: float, entry_before_close_ns: int
) -> list[Stretch]:
    """The plan for some sessions in order; the last ends `SETTLE_NS` after its close."""
    plan: list[Stretch] = []
    begin_ns = sessions[0].open_ns - WARM_UP_NS
    for number, session in enumerate(sessions):
        following = sessions[number + 1] if number + 1 < len(sessions) else None
        gaits = _gaits(session, following, entry_before_close_ns)
        took_ns = dict.fromkeys(SHARE, 0)
        for gait, from_ns, until_ns in _spans(gaits, begin_ns):
            took_ns[gait] += until_ns - from_ns
        for gait, _, until_ns in _spans(gaits, begin_ns):
            plan.append(Stretch(until_ns, _speed(took_ns[gait], SHARE[gait] * seconds_per_day)))
        begin_ns = plan[-1].end_ns
    return plan


def _gaits(
    session: SessionTimes, following: SessionTimes | None, entry_before_close_ns: int
) -> list[tuple[str, int]]:
    """One session's gaits in order, each with the instant until which it lasts (UTC ns)."""
    open_ns, close_ns = session
    entry_ns = close_ns - entry_before_close_ns
    gaits = [
        ("night", open_ns - BEFORE_OPEN_NS),
        ("slow", open_ns - CRAWL_BEFORE_NS),
        ("crawl", open_ns + CRAWL_AFTER_NS),
        ("slow", open_ns + AFTER_OPEN_NS),
        ("quiet", close_ns - BEFORE_CLOSE_NS),
        ("slow", entry_ns - CRAWL_BEFORE_NS),
        ("crawl", entry_ns + CRAWL_AFTER_NS),
        ("slow", close_ns - CRAWL_BEFORE_NS),
        ("crawl", close_ns + CRAWL_AFTER_NS),
        ("slow", close_ns + AFTER_CLOSE_NS),
        ("settle", close_ns + SETTLE_NS),
    ]
    if following is not None:
        gaits.append(("night", following.open_ns - BEFORE_OPEN_NS))
    return gaits


def _spans(gaits: Sequence[tuple[str, int]], begin_ns: int) -> Iterator[tuple[str, int, int]]:
    """The gaits as spans from `begin_ns` on; one that ended before has none."""
    for gait, until_ns in gaits:
        if until_ns > begin_ns:
            yield gait, begin_ns, until_ns
            begin_ns = until_ns


def _speed(market_ns: int, host_s: float) -> float:
    return max(1.0, market_ns / (host_s * SECOND_NS))


def days_done(sessions: Sequence[SessionTimes], market_ns: int) -> int:
    """How many of the sessions are over, their settling included."""
    return sum(market_ns >= session.close_ns + SETTLE_NS for session in sessions)


def step(
    plan: Sequence[Stretch],
    market_ns: int,
    beats: Mapping[str, Beaten | None],
    host_ns: int,
    unready_ns: int,
    busy_ns: int = 0,
) -> Step:
    """What the clock may do from `market_ns` on.

    `beats`: the newest heartbeat of every service that must keep up; a dead one stops the market.
    `unready_ns`: host time for which some living service has not been ready. That stops the market
    for `WALK_AFTER_NS`, then it walks at speed 1: some reasons (a link that a script has cut for a
    minute of market time) only pass with time.
    `busy_ns`: host time for which some service has had an order or a question under way.
    """
    stretch = next((s for s in plan if s.end_ns > market_ns), None)
    if stretch is None:
        return Step(0.0, market_ns, "")
    living = {n: b for n, b in beats.items() if b is not None and host_ns - b.host_ns <= FRESH_NS}
    dead = [name for name in beats if name not in living]
    if dead:
        return Step(0.0, market_ns, f"no heartbeat of {', '.join(dead)}")
    unready = [f"{name}: {beat.verdict}" for name, beat in living.items() if not beat.ready]
    if unready and unready_ns < WALK_AFTER_NS:
        return Step(0.0, market_ns, "; ".join(unready))
    speed = stretch.speed
    if busy_ns < BUSY_NS_MAX and any(beat.busy for beat in living.values()):
        speed = min(speed, BUSY_SPEED)
    if unready:
        speed = 1.0
    slowest_ns = min((beat.caught_up_ns for beat in living.values()), default=market_ns)
    leash_ns = slowest_ns + int(speed * LEASH_NS)
    return Step(speed, max(market_ns, min(stretch.end_ns, leash_ns)), "; ".join(unready))
