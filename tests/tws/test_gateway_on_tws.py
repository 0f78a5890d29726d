"""The gateway with the unmodified client library over TCP, against the simulated TWS.

The simulated TWS was never compared with a real one; see docs/assumptions.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.clock import SECOND_NS, Clock
from common.core.gateway.state import WORKED_ON
from common.messages import (
    Accepted,
    AccountSnapshot,
    BrokerLink,
    BrokerNotice,
    BrokerPnl,
    CancelOrder,
    Commission,
    Fill,
    HaltLatch,
    MarginPreview,
    OrderBook,
    Refused,
)
from common.settings import Account, Limits, Settings, Strategy
from common.settings import Broker as BrokerSettings
from common.tws import messages as tws
from services.sim_tws import account as money
from services.sim_tws import control
from services.sim_tws.broker import Broker
from services.sim_tws.contracts import SMH
from services.sim_tws.market import synthetic
from services.sim_tws.orders import Ticket
from services.sim_tws.server import Server
from services.sim_tws.switches import Switches
from services.sim_tws.tape import Tape
from tests.tws.feed_world import market_clock
from tests.tws.gateway_world import Gateway

START_NS = 1_717_509_600 * SECOND_NS  # 2024-06-04, 10:00 in New York
QUICK = Limits(wire_wait_s=5.0, snapshot_gap_s=2.0, acknowledge_s=1.0)


class Tws:
    """A simulated TWS on a free port of this process; faults as its control socket takes them."""

    def __init__(self, clock: Clock, accounts: str = "DU1234567", kind: str = "portfolio") -> None:
        self._clock = clock
        owned = [money.Account(name, 1_000_000.0, kind) for name in accounts.split(",")]
        tape = Tape(synthetic(7, date(2024, 6, 3)))
        self._server = Server(Broker(tape, owned, clock.now_ns(), Switches()), clock, None, None)
        self.port = 0

    async def start(self) -> None:
        self.port = await self._server.listen("127.0.0.1", 0)
        self._beat = asyncio.ensure_future(self._server.beat())

    async def stop(self) -> None:
        self._beat.cancel()
        await self._server.close()

    def fault(self, name: str, **args: Any) -> None:
        answer = control.answer(self._server, json.dumps({"fault": name, "args": args}).encode())
        assert answer.get("ok"), answer

    def place(self, client_id: int, order_id: int, ticket: Ticket) -> None:
        """Another program's order."""
        assert self._server.broker.place(client_id, order_id, SMH, "SMART", ticket) is None


class World:
    """One simulated TWS; gateways may come and go on the same folder, as after a kill."""

    def __init__(self, tws_server: Tws, clock: Clock, folder: Path) -> None:
        self.tws, self.clock, self.folder = tws_server, clock, folder

    def settings(self, **sections: Any) -> Settings:
        broker = BrokerSettings(port=self.tws.port, frozen_after_s=1.0, request_timeout_s=1.0)
        return Settings(**({"broker": broker, "limits": QUICK} | sections))

    @asynccontextmanager
    async def gateway(self, link: str = "ready", **sections: Any) -> AsyncIterator[Gateway]:
        gateway = Gateway(self.settings(**sections), self.clock, self.folder)
        await gateway.start()
        try:
            await gateway.until_link(link)
            if link == "ready":
                await gateway.until(lambda: gateway.state.price_usd, "a price of its own")
            yield gateway
        finally:
            await gateway.stop()


Story = Callable[[World], Awaitable[None]]


def play(folder: Path, story: Story, **options: str) -> None:
    """Tells one story on a fresh simulated TWS, at 10:00 in New York on a Tuesday."""

    async def tell(clock: Clock) -> None:
        server = Tws(clock, **options)
        await server.start()
        try:
            await story(World(server, clock, folder))
        finally:
            await server.stop()

    with market_clock(folder, START_NS) as clock:
        asyncio.run(tell(clock.reader))


async def hold(gateway: Gateway, shares: int = 1000) -> None:
    entry = gateway.order("ENTRY", shares)
    assert isinstance(gateway.submit(entry), Accepted)
    await gateway.until(lambda: gateway.status(entry) == "Filled", "the entry's fill")
    await gateway.until(lambda: gateway.state.held_proven == shares, "the position")


def placements(gateway: Gateway) -> list[tws.SendOrder]:
    return [effect for effect in gateway.effects if isinstance(effect, tws.SendOrder)]


def test_an_entry_and_an_exit_are_placed_filled_and_accounted_for(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            await hold(gateway)
            exit_order = gateway.order("EXIT", 1000)
            assert isinstance(gateway.submit(exit_order), Accepted)
            await gateway.until(lambda: gateway.status(exit_order) == "Filled", "the exit's fill")
            await gateway.until(
                lambda: len(gateway.all(Commission)) == len(gateway.all(Fill)), "each commission"
            )
            assert gateway.filled(exit_order) == 1000
            assert {fill.liquidation for fill in gateway.all(Fill)} == {False}
            assert len(placements(gateway)) == 2

    play(tmp_path, story)


def test_the_account_is_reported_flat_and_held_with_ledger_keys_or_without(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.tws.fault("ledger-keys")
        async with w.gateway() as gateway:
            flat = gateway.newest(AccountSnapshot)
            assert (flat.shares, flat.net_liquidation_usd, flat.portfolio_margin) == (0, 1e6, True)
            await hold(gateway)
            await gateway.until(
                lambda: gateway.newest(AccountSnapshot).shares == 1000, "the held account"
            )
            await gateway.until(lambda: gateway.newest(BrokerPnl) is not None, "profit and loss")
            assert gateway.newest(BrokerPnl).shares == 1000

    play(tmp_path, story)


def test_a_reg_t_account_is_not_proven_portfolio_margin(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            assert gateway.newest(AccountSnapshot).portfolio_margin is None

    play(tmp_path, story, kind="regt")


def test_a_what_if_is_answered_from_its_second_reply_and_its_error_is_told(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            gateway.preview(1000)
            await gateway.until(lambda: gateway.newest(MarginPreview), "the margins")
            assert gateway.newest(MarginPreview).init_after_usd > 0
            gateway.preview(1_000_000)
            await gateway.until(
                lambda: "MUST EXCEED" in gateway.newest(MarginPreview).problem, "the reason"
            )
            assert gateway.newest(MarginPreview).rejected, "a smaller size may do"

    play(tmp_path, story)


def test_a_refused_order_is_rejected_with_twss_words(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            w.tws.fault("reject", code=201, text="Order rejected - reason:NO", count=1)
            entry = gateway.order("ENTRY", 100)
            gateway.submit(entry)
            await gateway.until(lambda: gateway.status(entry) == "REJECTED", "the refusal")
            assert "reason:NO" in gateway.updates(entry)[-1].reason
            await gateway.until(lambda: not gateway.state.snapshots.pending, "the comparison")

    play(tmp_path, story)


@pytest.mark.parametrize("fault", ["tif-preset", "duplicate-status", "reorder-status"])
def test_noise_around_a_live_order_changes_nothing(tmp_path: Path, fault: str) -> None:
    async def story(w: World) -> None:
        w.tws.fault(fault)
        async with w.gateway() as gateway:
            await hold(gateway)
            fills = gateway.all(Fill)
            assert len({fill.exec_id for fill in fills}) == len(fills)
            assert sum(fill.shares for fill in fills) == 1000
            assert len(placements(gateway)) == 1

    play(tmp_path, story)


def test_a_resting_order_survives_a_kill_and_is_cancelled_by_the_next_gateway(
    tmp_path: Path,
) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            entry = gateway.order("ENTRY", 100, order_type="LMT", limit_usd=20.0)
            gateway.submit(entry)
            await gateway.until(lambda: gateway.status(entry) == "Submitted", "the order to work")
        async with w.gateway() as gateway:
            assert gateway.newest(OrderBook).working == (entry.intent_id,)
            gateway.ask_for(CancelOrder("c", 0, entry.intent_id, "test"), "order_executor")
            await gateway.until(lambda: gateway.status(entry) == "Cancelled", "the cancel")
            assert placements(gateway) == []

    play(tmp_path, story)


def test_an_order_killed_right_after_its_send_is_found_filled_once(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            entry = gateway.order("ENTRY", 100)
            gateway.submit(entry)
            gateway.mute = True  # the bytes left, and the process dies before any answer
            await asyncio.sleep(0)
        async with w.gateway() as gateway:
            await gateway.until(lambda: gateway.status(entry) == "Filled", "the fill it missed")
            assert gateway.filled(entry) == 100
            assert isinstance(gateway.submit(entry), Accepted)
            assert placements(gateway) == []

    play(tmp_path, story)


def test_an_entry_that_vanished_is_abandoned_after_the_proof_and_never_resent(
    tmp_path: Path,
) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            w.tws.fault("lose-orders", count=1)
            entry = gateway.order("ENTRY", 100)
            gateway.submit(entry)
            await gateway.until(lambda: gateway.status(entry) == "UNKNOWN", "the doubt")
            assert isinstance(gateway.submit(gateway.order("ENTRY", 100, attempt=2)), Refused)
            await gateway.until(lambda: gateway.status(entry) == "ABANDONED", "the proof")
            assert len(placements(gateway)) == 1

    play(tmp_path, story)


def test_an_exit_that_vanished_is_sent_again_under_its_id_and_fills_once(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway(limits=Limits()) as gateway:
            await hold(gateway)
            w.tws.fault("lose-orders", count=1)
            exit_order = gateway.order("EXIT", 1000)
            gateway.submit(exit_order)
            # the simulated TWS took the id, so the second send is answered by 103
            await gateway.until(lambda: len(placements(gateway)) == 3, "the same id sent once more")
            ids = [sent.order_id for sent in placements(gateway)[1:]]
            assert ids[0] == ids[1]
            assert gateway.filled(exit_order) in {0, 1000}

    play(tmp_path, story)


def test_fills_missed_while_tws_had_lost_ib_are_found_by_the_comparison(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            await hold(gateway)
            w.tws.fault("link-loss", seconds=0, code=1101, report_fills=False)
            await gateway.until_link("degraded")
            w.tws.fault("manual-order", action="SELL", quantity=100)
            w.tws.fault("link-restore", code=1101, report_fills=False)
            await gateway.until_link("ready")
            assert gateway.newest(Fill).intent_id == ""
            assert gateway.newest(HaltLatch).mode == "HALTED"
            assert gateway.state.held_proven == 900

    play(tmp_path, story)


def test_an_account_that_was_taken_over_is_told_again(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            w.tws.fault("account-taken")
            await gateway.until_link("reconciling")
            before_ns = gateway.newest(AccountSnapshot).refreshed_ns
            await gateway.until_link("ready")
            assert gateway.newest(AccountSnapshot).refreshed_ns > before_ns

    play(tmp_path, story)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("utc", [False, True], ids=["named zone", "UTC without a name"])
def test_an_execution_has_its_true_time_whatever_this_machines_zone(
    tmp_path: Path, zone: str, utc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()

    async def story(w: World) -> None:
        w.tws.fault("utc-times", on=utc)
        async with w.gateway() as gateway:
            before_ns = w.clock.now_ns()
            await hold(gateway)
            for fill in gateway.all(Fill):
                assert before_ns - SECOND_NS <= fill.filled_ns <= w.clock.now_ns()

    try:
        play(tmp_path, story)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_liquidation_is_told_from_an_order_of_ours(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            await hold(gateway)
            w.tws.fault("liquidation", quantity=100)
            await gateway.until(lambda: gateway.newest(Fill).liquidation, "the liquidation")
            assert gateway.newest(HaltLatch).mode == "HALTED"

    play(tmp_path, story)


def test_an_exit_that_ib_refuses_beside_the_stop_is_followed_by_one_without_it(
    tmp_path: Path,
) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            await hold(gateway)
            stop = gateway.order("STOP", 1000, stop_usd=round(gateway.state.price_usd * 0.9, 2))
            gateway.submit(stop)
            await gateway.until(lambda: gateway.status(stop) == "PreSubmitted", "the stop at rest")
            w.tws.fault("refuse-group-joins")
            beside, alone = (gateway.order("EXIT", 1000, attempt) for attempt in (1, 2))
            gateway.submit(beside)
            await gateway.until(lambda: gateway.status(beside) == "REJECTED", "the refusal")
            assert gateway.status(stop) == "PreSubmitted", "it protects until the next exit is due"
            gateway.submit(alone)
            await gateway.until(lambda: gateway.status(alone) == "Filled", "the exit's fill")
            await gateway.until(lambda: gateway.state.held_at_most == 0, "a flat account")
            assert gateway.status(stop) == "Cancelled"
            assert [sent.oca_group for sent in placements(gateway)[2:]] == [
                placements(gateway)[1].oca_group, ""
            ]  # fmt: skip

    play(tmp_path, story)


def test_an_exit_that_ib_does_not_work_is_cancelled_and_the_next_sells(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            await hold(gateway)
            w.tws.fault("deactivate-orders", count=1)
            idle, second = (gateway.order("EXIT", 1000, attempt) for attempt in (1, 2))
            gateway.submit(idle)
            await gateway.until(lambda: gateway.status(idle) == "Inactive", "no work on it")
            assert isinstance(gateway.submit(second), Refused)
            await gateway.until(lambda: gateway.status(idle) == "Cancelled", "its cancel")
            third = gateway.order("EXIT", 1000, attempt=3)
            gateway.submit(third)
            await gateway.until(lambda: gateway.status(third) == "Filled", "the exit's fill")
            assert (gateway.filled(idle), gateway.filled(third)) == (0, 1000)

    play(tmp_path, story)


def test_part_of_a_share_beside_the_position_is_told_and_left_when_all_is_sold(
    tmp_path: Path,
) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            await hold(gateway)
            w.tws.fault("part-share", shares=0.4)
            await gateway.until(
                lambda: [n for n in gateway.all(BrokerNotice) if "0.4 of a share" in n.text],
                "the notice",
            )
            assert gateway.state.held_at_most == 1000
            exit_order = gateway.order("EXIT", 1000)
            gateway.submit(exit_order)
            await gateway.until(lambda: gateway.status(exit_order) == "Filled", "the exit's fill")
            await gateway.until(lambda: gateway.state.position_reported == 0, "a flat account")
            assert (gateway.state.held_at_most, gateway.state.mode) == (0, "ACTIVE")

    play(tmp_path, story)


def test_orders_of_others_that_ib_has_not_numbered_yet_are_each_left_their_shares(
    tmp_path: Path,
) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            await hold(gateway, 100)
            w.tws.fault("unnumbered-orders")
            for client_id, shares in ((8, 60.0), (9, 40.0)):
                w.tws.place(client_id, 5, Ticket("SELL", shares, "LMT", limit_usd=1000.0))
            w.tws.fault("drop-client", client_id=1)
            await gateway.until(lambda: gateway.state.foreign_sells == 100, "both orders")
            await gateway.until_link("ready")
            assert isinstance(gateway.submit(gateway.order("EXIT", 60)), Refused)

    play(tmp_path, story)


def test_a_restart_of_tws_with_its_ids_rolled_back_reuses_none(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            await hold(gateway)
            used = placements(gateway)[0].order_id
            w.tws.fault("restart", host_seconds=0.2, ids_back=1)
            await gateway.until_link("down")
            await gateway.until_link("ready")
            exit_order = gateway.order("EXIT", 1000)
            gateway.submit(exit_order)
            await gateway.until(lambda: gateway.status(exit_order) == "Filled", "the exit")
            assert placements(gateway)[-1].order_id > used

    play(tmp_path, story)


def test_a_frozen_tws_is_dropped_and_connected_again(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            w.tws.fault("freeze", on=True)
            await gateway.until(
                lambda: any("frozen" in link.reason for link in gateway.all(BrokerLink)),
                "the frozen link",
            )
            w.tws.fault("freeze", on=False)
            await gateway.until_link("ready")

    play(tmp_path, story)


@pytest.mark.parametrize(
    "message", ["openOrderEnd", "completedOrdersEnd", "execDetailsEnd", "positionEnd"]
)
def test_without_an_end_message_nothing_counts_as_compared(tmp_path: Path, message: str) -> None:
    async def story(w: World) -> None:
        w.tws.fault("withhold", message=message, on=True)
        async with w.gateway(link="reconciling") as gateway:
            await gateway.until(
                lambda: "did not finish" in gateway.newest(BrokerLink).reason, "the reason"
            )
            mend = {"completedOrdersEnd": "untick Read-Only API", "execDetailsEnd": "newest stable"}
            assert mend.get(message, "") in gateway.newest(BrokerLink).reason
            assert isinstance(gateway.submit(gateway.order("ENTRY", 100)), Refused)
            w.tws.fault("withhold", message=message, on=False)
            await gateway.until_link("ready")

    play(tmp_path, story)


def test_a_read_only_api_is_one_plain_line(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.tws.fault("read-only", on=True)
        async with w.gateway(link="reconciling") as gateway:
            await gateway.until(
                lambda: "untick Read-Only API" in gateway.newest(BrokerLink).reason, "the reason"
            )

    play(tmp_path, story)


def test_a_base_currency_other_than_usd_is_one_plain_line(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.tws.fault("base-currency", currency="EUR")
        async with w.gateway(link="locked") as gateway:
            assert "base currency is EUR" in gateway.newest(BrokerLink).reason

    play(tmp_path, story)


def test_several_accounts_are_one_plain_line_listing_them_shortened(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway(link="locked") as gateway:
            assert "DU***67, DU***21" in gateway.newest(BrokerLink).reason
            assert not [e for e in gateway.effects if not isinstance(e, tws.ReserveIds)]

    play(tmp_path, story, accounts="DU1234567,DU7654321")


def test_a_live_account_is_refused_in_paper_mode_before_anything_is_sent(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway(link="locked") as gateway:
            assert "not a paper account" in gateway.newest(BrokerLink).reason
            assert gateway.newest(HaltLatch).mode == "LOCKED"
            assert gateway.effects == []

    play(tmp_path, story, accounts="U1234567")


def test_an_ambiguous_or_unknown_instrument_names_the_setting(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway(link="reconciling", strategy=Strategy(symbol="ZZZZ")) as gateway:
            await gateway.until(
                lambda: "strategy.symbol" in gateway.newest(BrokerLink).reason, "the setting"
            )

    play(tmp_path, story)


def test_an_exit_leaves_though_tws_answers_no_second_question_on_the_instrument(
    tmp_path: Path,
) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            await hold(gateway)
            w.tws.fault("withhold", message="contractDetailsEnd", on=True)
            w.tws.fault("link-loss", seconds=0.0, code=1101)
            await gateway.until(lambda: gateway.state.link.degraded, "1100")
            w.tws.fault("link-restore", code=1101)
            await gateway.until_link("ready")
            exit_order = gateway.order("EXIT", 1000)
            gateway.submit(exit_order)
            await gateway.until(lambda: gateway.status(exit_order) == "Filled", "the exit's fill")

    play(tmp_path, story)


def test_a_start_goes_on_once_tws_answers_on_the_instrument(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.tws.fault("withhold", message="contractDetailsEnd", on=True)
        async with w.gateway(link="reconciling") as gateway:
            await gateway.until(lambda: "no answer" in gateway.state.link.instrument, "the word")
            w.tws.fault("withhold", message="contractDetailsEnd", on=False)
            await gateway.until_link("ready")

    play(tmp_path, story)


def test_a_second_gateway_is_kept_out_by_the_client_id(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway():
            second = Gateway(w.settings(), w.clock, tmp_path / "second")
            await second.start()
            await second.until(
                lambda: "in use" in second.newest(BrokerLink).reason, "the refusal (326)"
            )
            await second.stop()

    play(tmp_path, story)


def test_nothing_listening_is_one_plain_line(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        nowhere = Settings(broker=BrokerSettings(port=1))
        gateway = Gateway(nowhere, w.clock, tmp_path / "alone")
        await gateway.start()
        await gateway.until(
            lambda: "nothing listens" in gateway.newest(BrokerLink).reason, "the reason"
        )
        await gateway.stop()

    play(tmp_path, story)


def test_the_named_account_of_several_is_the_one_on_every_order(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway(account=Account(id="DU1234567")) as gateway:
            await hold(gateway, 100)
            assert placements(gateway)[0].account == "DU1234567"

    play(tmp_path, story, accounts="DU1234567,DU7654321")


def test_an_unknown_code_is_shown_as_unknown(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as gateway:
            w.tws.fault("reject", code=31337, text="nobody knows", count=1)
            gateway.submit(gateway.order("ENTRY", 100))
            await gateway.until(
                lambda: any(n.kind == "unknown" for n in gateway.all(BrokerNotice)), "the notice"
            )

    play(tmp_path, story)


def test_a_stop_that_a_lost_journal_forgot_is_ours_again_and_cancelled_by_its_id(
    tmp_path: Path,
) -> None:
    async def story(w: World) -> None:
        async with w.gateway() as first:
            await hold(first)
            stop = msgspec.structs.replace(
                first.order("EXIT", 1000, order_type="STP"),
                intent_id="20240604-STOP-1", purpose="STOP", reason="resting_stop", stop_usd=1.0,
            )  # fmt: skip
            first.submit(stop)
            await first.until(lambda: first.status(stop) in WORKED_ON, "the stop to rest")
        shutil.rmtree(tmp_path / "journal")
        async with w.gateway() as second:
            book = second.newest(OrderBook)
            assert (book.working, book.foreign_sell_shares) == ((stop.intent_id,), 0)
            cancel = CancelOrder(key="c", deadline_ns=0, intent_id=stop.intent_id, why="a test")
            assert isinstance(second.ask_for(cancel), Accepted)
            await second.until(lambda: second.status(stop) == "Cancelled", "its end")

    play(tmp_path, story)


def test_the_same_files_run_on_the_maintained_fork(tmp_path: Path) -> None:
    """ib_async in ib_insync's place, in a process of its own; two stories of this file."""
    program = (
        "import sys, ib_async\n"
        "sys.modules['ib_insync'] = ib_async\n"
        "import pytest\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:xdist', *sys.argv[1:]]))\n"
    )
    here = Path(__file__)
    stories = (
        "test_an_entry_and_an_exit_are_placed_filled_and_accounted_for",
        "test_a_what_if_is_answered_from_its_second_reply_and_its_error_is_told",
        "test_fills_missed_while_tws_had_lost_ib_are_found_by_the_comparison",
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"--basetemp={tmp_path / 'fork'}",
         *(f"{here}::{story}" for story in stories)],
        cwd=here.parents[2], env=os.environ | {"PYTHONWARNINGS": "default"},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
