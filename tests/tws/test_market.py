"""The feed on a TWS: the unmodified client over TCP, against the simulated TWS in its process.

The simulated TWS was never compared with a real one: docs/assumptions.md.
"""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import msgpack
import pytest

from common.clock import ClockWriter
from common.core import strategy
from common.core.feed import market_day
from common.messages import (
    DailyBar,
    DailyHistory,
    FeedState,
    OpeningPrint,
    Quote,
    Session,
    VixLevel,
)
from common.settings import Strategy
from common.tws.market_messages import RawTicks, ReadHistory, Subscribe
from services.sim_tws.market_time import instant_ns
from tests.tws.feed_world import YEAR_NS, Feed, SimTws, market_clock, settings_for

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TRADER_DATA", ROOT.parent / "shared" / "data"))
DAY = date(2026, 1, 5)
MINUTE_NS = market_day.MINUTE_NS
OPEN_NS, CLOSE_NS = instant_ns(DAY, 9, 30), instant_ns(DAY, 16)


class World:
    """A feed, its TWS and the clock between them."""

    def __init__(self, sim: SimTws, feed: Feed, clock: ClockWriter) -> None:
        self.sim, self.feed, self.clock = sim, feed, clock

    def speed(self, speed: float) -> None:
        self.clock.go_on(speed, self.clock.reader.now_ns() + YEAR_NS)

    async def until_ready(self, speed: float = 20.0) -> None:
        """Until the feed can serve; from then on market time runs at `speed`."""
        await self.feed.until(lambda: not self.feed.engine.unready(), "readiness")
        self.speed(speed)

    async def until_quote_after(self, count: int = 1) -> None:
        """Until so many more quotes have come."""
        feed, before = self.feed, len(self.quotes)
        await feed.until(lambda: len(self.quotes) >= before + count, "a quote")

    @property
    def quotes(self) -> list[Quote]:
        return [fact for fact in self.feed.said if isinstance(fact, Quote)]

    async def until_problem(self, text: str) -> None:
        await self.feed.until(lambda: text in self.problem, f"a problem with '{text}'")

    @property
    def problem(self) -> str:
        state = self.feed.newest(FeedState)
        return state.problem if state else ""


@asynccontextmanager
async def feed_on(
    sim: SimTws, clock: ClockWriter, folder: Path, *, own_calendar: bool = False, **strategy: Any
) -> AsyncIterator[World]:
    """A feed that has just begun to connect."""
    settings = settings_for(sim.port, **strategy)
    feed = Feed(settings, clock.reader, folder, own_calendar=own_calendar)
    feed.engine.restore()
    await feed.edge.start()
    try:
        yield World(sim, feed, clock)
    finally:
        await feed.edge.stop()


@asynccontextmanager
async def world(
    folder: Path, *options: str, at_ns: int, own_calendar: bool = False
) -> AsyncIterator[World]:
    """A feed on a TWS of its own; market time runs at the pace of the host's."""
    with market_clock(folder, at_ns) as clock:
        sim = SimTws(folder, folder / "clock", *options)
        try:
            async with feed_on(sim, clock, folder, own_calendar=own_calendar) as w:
                yield w
        finally:
            sim.stop()


@pytest.fixture(scope="module")
def noon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SimTws, ClockWriter, Path]]:
    """A TWS in mid-session that several tests share, its clock and its wire's record."""
    folder = tmp_path_factory.mktemp("noon")
    with market_clock(folder, instant_ns(DAY, 11)) as clock:
        record = folder / "record"
        sim = SimTws(folder, folder / "clock", "--record", str(record))
        yield sim, clock, record
        sim.stop()


Noon = tuple[SimTws, ClockWriter, Path]


def play(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def test_a_start_before_the_open_brings_history_session_prices_and_vix(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, at_ns=OPEN_NS - MINUTE_NS, own_calendar=True) as w:
            await w.until_ready()
            history, session = w.feed.newest(DailyHistory), w.feed.newest(Session)
            assert session.day == DAY
            assert history.days[-1] == session.previous_day
            assert len(history.days) > 1200
            assert w.feed.newest(DailyBar).final
            await w.feed.until(lambda: w.feed.newest(Session).broker_agrees, "liquidHours")
            await w.feed.until(lambda: w.feed.newest(VixLevel), "a VIX level")
            await w.feed.until(lambda: w.feed.newest(OpeningPrint), "an opening print")
            await w.until_quote_after(5)
            newest = w.quotes[-1]
            assert newest.kind == "live"
            assert newest.tick_ns >= OPEN_NS
            assert w.feed.newest(OpeningPrint).price_usd == pytest.approx(newest.mark_usd, rel=0.02)
            assert w.problem == ""
            assert [e for e in w.feed.effects if isinstance(e, Subscribe)] == [
                Subscribe(symbol="SMH", live=True), Subscribe(symbol="VIX", live=True),
            ]  # fmt: skip

    play(scenario())


def test_without_live_permission_delayed_data_is_taken_and_called_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        at_ns = instant_ns(DAY, 11)
        async with world(tmp_path, "--delayed-data", at_ns=at_ns) as w:
            await w.until_ready()
            await w.until_quote_after(3)
            await w.feed.until(lambda: w.feed.newest(VixLevel), "a VIX level")
            assert w.quotes[-1].kind == "delayed"
            assert w.feed.newest(VixLevel).kind == "delayed"
            await w.feed.until(lambda: w.feed.newest(FeedState).kind == "delayed", "its kind")
            assert w.problem == ""
            assert w.feed.newest(OpeningPrint).official

    play(scenario())


@pytest.mark.parametrize("fault", ["delayed-not-asked", "part-permitted"])
def test_every_way_of_refusing_live_data_leads_to_delayed_data(
    noon: Noon, tmp_path: Path, fault: str
) -> None:
    async def scenario() -> None:
        async with feed_on(*noon[:2], tmp_path) as w:
            await w.sim.fault("data-permission", live=False, delayed=True)
            await w.sim.fault(fault, on=True)
            w.speed(20.0)
            await w.until_quote_after()
            assert w.quotes[-1].kind == "delayed"
            await w.sim.fault(fault, on=False)
            await w.sim.fault("data-permission", live=True, delayed=True)

    play(scenario())


def test_neither_live_nor_delayed_data_is_one_line_and_heals_when_permitted(
    noon: Noon, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with feed_on(*noon[:2], tmp_path) as w:
            await w.sim.fault("data-permission", live=False, delayed=False)
            await w.until_problem("10168")
            assert "enable delayed data" in w.problem
            w.speed(60.0)
            await w.sim.fault("data-permission", live=False, delayed=True)
            await w.until_quote_after()
            assert w.quotes[-1].kind == "delayed"
            await w.sim.fault("data-permission", live=True, delayed=True)

    play(scenario())


def test_every_tick_of_every_chunk_is_looked_at(noon: Noon, tmp_path: Path) -> None:
    """What the decider heard is compared with what stands on the wire, in a fast market."""

    async def scenario() -> None:
        sim, clock, record = noon
        wire_before = record.stat().st_size
        async with feed_on(sim, clock, tmp_path) as w:
            await w.until_ready(600.0)
            await w.until_quote_after(500)
            heard = [
                (tick.type, tick.value)
                for message in w.feed.heard
                if isinstance(message, RawTicks) and message.symbol == "SMH"
                for tick in message.ticks
                if tick.type in {1, 2, 4}
            ]
        sent = [price for price in _prices_sent(record, wire_before) if price[0] in {1, 2, 4}]
        assert len(heard) > 500
        assert sent[: len(heard)] == heard
        chunks = [m for m in w.feed.heard if isinstance(m, RawTicks) and len(m.ticks) > 3]
        assert chunks, "no chunk held several ticks, so nothing was shown"

    play(scenario())


def _prices_sent(record: Path, start: int) -> list[tuple[int, float]]:
    """(tick type, price) of every SMH TICK_PRICE frame since: those of the first ticker id."""
    found: list[tuple[int, float]] = []
    first_id = b""
    with record.open("rb") as file:
        file.seek(start)
        for _, _, _, _, direction, payload in msgpack.Unpacker(file):
            fields = payload.split(b"\0")
            if direction == "out" and fields[0] == b"1":
                first_id = first_id or fields[2]
                if fields[2] == first_id:
                    found.append((int(fields[3]), float(fields[4])))
    return found


def test_bad_ticks_and_wild_prints_from_tws_never_become_a_price(
    noon: Noon, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with feed_on(*noon[:2], tmp_path) as w:
            await w.until_ready()
            await w.until_quote_after(2)
            good = w.quotes[-1].mark_usd
            for value in (float("nan"), -1.0, 0.0):
                await w.sim.fault("bad-ticks", value=value, count=6)
                await w.until_quote_after(4)
            await w.sim.fault("wild-print", percent=-30.0, where="all")
            await w.until_quote_after(4)
            values = [
                tick.value for m in w.feed.heard if isinstance(m, RawTicks) for tick in m.ticks
            ]
            assert any(math.isnan(value) for value in values), "the faults did not arrive"
            assert any(good * 0.65 < value < good * 0.75 for value in values)
            for quote in w.quotes:
                assert quote.mark_usd == pytest.approx(good, rel=0.05)

    play(scenario())


def test_streams_come_back_after_a_lost_link_silence_and_a_restart(
    noon: Noon, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with feed_on(*noon[:2], tmp_path) as w:
            await w.until_ready()
            await w.until_quote_after(2)
            # 1100, then 1101: the subscriptions are lost
            await w.sim.fault("link-loss", seconds=20.0, code=1101)
            await w.until_problem("1100")
            assert not w.feed.newest(FeedState).connected
            await w.until_quote_after(3)
            await w.feed.until(lambda: w.problem == "", "health")
            # the subscriptions stand, and stay silent
            await w.sim.fault("quotes-stop", on=True)
            await w.until_problem("no SMH tick for more than 5 s")
            before = len(w.feed.effects)
            await w.feed.until(
                lambda: any(isinstance(e, Subscribe) for e in w.feed.effects[before:]), "a new try"
            )
            await w.sim.fault("quotes-stop", on=False)
            await w.until_quote_after(3)
            await w.feed.until(lambda: w.problem == "", "health")
            # TWS itself goes away and comes back
            await w.sim.fault("restart", host_seconds=0.5)
            await w.feed.until(lambda: not w.feed.newest(FeedState).connected, "the loss")
            assert w.problem
            await w.until_quote_after(3)
            await w.feed.until(lambda: w.problem == "", "health")

    play(scenario())


def test_a_halt_and_a_competing_session_are_told_and_end(noon: Noon, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feed_on(*noon[:2], tmp_path) as w:
            await w.until_ready()
            await w.until_quote_after(2)
            await w.sim.fault("halt", on=True)
            await w.feed.until(lambda: w.feed.newest(FeedState).halted, "the halt")
            await w.sim.fault("halt", on=False)
            w.speed(20.0)
            await w.feed.until(lambda: not w.feed.newest(FeedState).halted, "its end")
            w.speed(1.0)
            await w.sim.fault("competing-session", on=True)
            await w.feed.until(lambda: w.feed.newest(FeedState).competing, "the competitor")
            await w.sim.fault("competing-session", on=False)
            await w.until_quote_after(3)
            await w.feed.until(lambda: not w.feed.newest(FeedState).competing, "its end")

    play(scenario())


def test_an_ambiguous_or_unknown_contract_names_the_setting(noon: Noon, tmp_path: Path) -> None:
    async def scenario() -> None:
        sim, clock, _ = noon
        unknown, ambiguous = tmp_path / "unknown", tmp_path / "ambiguous"
        async with feed_on(sim, clock, unknown, primary_exchange="ARCA") as w:
            await w.until_problem("strategy.primary_exchange")
            assert "ARCA" in w.problem
        await sim.fault("ambiguous-contract", on=True)
        async with feed_on(sim, clock, ambiguous) as w:
            await w.until_problem("is ambiguous: set strategy.primary_exchange to one of NASDAQ")
        await sim.fault("ambiguous-contract", on=False)

    play(scenario())


def test_after_the_close_the_bar_is_asked_for_until_it_is_final(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, at_ns=CLOSE_NS - MINUTE_NS // 2) as w:
            await w.until_ready()
            await w.feed.until(lambda: w.feed.newest(DailyBar).day == DAY, "the provisional bar")
            provisional = w.feed.newest(DailyBar)
            assert not provisional.final
            await w.sim.fault("history-error", text="HMDS query returned no data")
            w.speed(120.0)
            await w.feed.until(lambda: "162" in w.feed.engine.state.history.problem, "the failure")
            await w.sim.fault("history-error", text="")
            await w.feed.until(lambda: w.feed.newest(DailyBar).final, "the final bar")
            final = w.feed.newest(DailyBar)
            assert (final.day, w.feed.newest(DailyHistory).days[-1]) == (DAY, DAY)
            assert final.close_usd == pytest.approx(provisional.close_usd, rel=0.02)

    play(scenario())


def test_with_delayed_data_the_final_bar_waits_a_quarter_of_an_hour_longer(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "--delayed-data", at_ns=CLOSE_NS - MINUTE_NS // 2) as w:
            await w.until_ready(600.0)
            await w.feed.until(
                lambda: w.feed.newest(DailyBar).day == DAY and w.feed.newest(DailyBar).final,
                "the final bar",
            )
            asked = [e.asked_ns for e in w.feed.effects if isinstance(e, ReadHistory)]
            assert all(at < CLOSE_NS or at >= CLOSE_NS + 16 * MINUTE_NS for at in asked)

    play(scenario())


@pytest.mark.skipif(not DATA.exists(), reason=f"no market data at {DATA} (TRADER_DATA)")
def test_overnight_a_split_rescales_the_whole_history_and_is_no_signal(tmp_path: Path) -> None:
    """SMH was split two for one on 2023-05-05."""

    async def scenario() -> None:
        before, split_day = date(2023, 5, 4), date(2023, 5, 5)
        options = ("--data", str(DATA), "--start", str(before))
        async with world(tmp_path, *options, at_ns=instant_ns(before, 23)) as w:
            await w.until_ready(7200.0)
            old = w.feed.newest(DailyHistory)
            await w.feed.until(lambda: w.feed.newest(DailyHistory) != old, "the rebuilt history")
            new = w.feed.newest(DailyHistory)
            [*_, asked] = [e.asked_ns for e in w.feed.effects if isinstance(e, ReadHistory)]
            assert asked < instant_ns(split_day, 9, 30)
            assert new.days == old.days
            ratios = [a / b for a, b in zip(new.closes_usd, old.closes_usd, strict=True)]
            assert ratios == pytest.approx([0.5] * len(ratios), rel=1e-4)
            assert strategy.revision(old.days, old.closes_usd, new.days, new.closes_usd) == ""
            sides = [strategy.signal_of(h.days, h.closes_usd, Strategy()).side for h in (old, new)]
            assert sides[0] == sides[1]

    play(scenario())


def test_the_same_edge_runs_with_ib_async() -> None:
    """ib_insync is archived; its maintained fork takes its name in a fresh process."""
    names = "every_tick or without_live"
    program = (
        "import sys, ib_async; sys.modules['ib_insync'] = ib_async; import pytest; "
        f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', {__file__!r}, '-k', {names!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_calendar_knows_holidays_early_closes_and_daylight_saving() -> None:
    from common.calendar import read_sessions

    async def scenario() -> None:
        found = await read_sessions(date(2026, 3, 2), date(2026, 12, 31), 60.0)
        days = {hours.day: hours for hours in found}
        assert date(2026, 7, 3) not in days  # Independence Day, observed
        assert days[date(2026, 11, 27)].close_ns == instant_ns(date(2026, 11, 27), 13)
        for day in (date(2026, 3, 6), date(2026, 3, 9), date(2026, 11, 2)):
            assert days[day].open_ns == instant_ns(day, 9, 30)
        before, after = days[date(2026, 3, 6)], days[date(2026, 3, 9)]
        assert after.open_ns - before.open_ns == (3 * 24 - 1) * 3600 * 1_000_000_000

    play(scenario())
