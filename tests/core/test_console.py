"""The console's decider: the document's lines letter for letter, each once; alerts until ended."""

from __future__ import annotations

from datetime import date

import pytest

from common.console_messages import AlertRan, Outcome, Print, RunAlertCommand, RunBegan, Stopping
from common.core import console
from common.messages import (
    Accepted,
    AckAlerts,
    Alert,
    BaselineSet,
    BrokerLink,
    BrokerNotice,
    Check,
    DaySummary,
    DiskState,
    Entered,
    EntryClamped,
    EntryRefused,
    Exited,
    ExitFailed,
    FeedState,
    GoNoGo,
    HaltLatch,
    Message,
    OrderState,
    Restarted,
    RiskState,
    RunEnded,
    Signal,
    SignalChanged,
    StopHit,
    TestAlert,
    Tick,
)
from common.settings import Account, Alerts, Settings, Stop
from tests.playbook import Script, instant, of

DAY = date(2025, 6, 2)
SETTINGS = Settings(alerts=Alerts(alert_command="mail me", repeat_s=300.0))

LINK = BrokerLink(
    state="ready", account="DU1234567", port=7497, since_ns=0, clock_offset_s=0.0, reason=""
)
DOWN = BrokerLink(
    state="down", account="", port=0, since_ns=0, clock_offset_s=None, reason="nothing listens"
)
SIGNAL = Signal(
    day=date(2025, 5, 30), fast_usd=399.874, slow_usd=356.108, side="BULL", final=True, bars=1256,
    flip_close_usd=None,
)  # fmt: skip
FEED = FeedState(connected=True, kind="live", halted=False, competing=False, tick_ns=1, problem="")
PAGE = Alert(level="page", code="blind", text="no price", raised=True)
OVER = Alert(level="page", code="blind", text="no price", raised=False)
SUMMARY_LINE = (
    "📋 2025-06-02: 1 entries, 0 stops, 0 exits, holding 7355 shares; equity $1,000,000.00 (-0.13%)"
)
UNPROTECTED_LINE = (
    "⏹️ System shutdown. NOT PROTECTED: 7355 shares of SMH stay open, "
    "and nothing watches their stop until the next start"
)
RESTING_LINE = (
    "⏹️ System shutdown. 7355 shares of SMH stay open: a stop at the broker sells them at $400.00 "
    "until today's close, and nothing protects them after it"
)


def baseline(
    day: date = DAY, labelled: str = "", shares: int = 0, night_usd: float | None = None
) -> BaselineSet:
    return BaselineSet(
        day=day, baseline_usd=1_001_295.25, shares=shares, price_usd=408.0, source="open",
        labelled=labelled, night_usd=night_usd,
    )  # fmt: skip


def risk(shares: int = 0, breached: str = "", resting_usd: float | None = None) -> RiskState:
    return RiskState(
        mode="ACTIVE", breached=breached, reasons=(), pending="", shares=shares, entry_done=False,
        stop_fired=False, uninvested_usd=0.0, liquidation_price_usd=None, protected_by="",
        resting_usd=resting_usd,
    )  # fmt: skip


def summary(day: date = DAY) -> DaySummary:
    return DaySummary(
        day=day, entries=1, stops=0, exits=0, shares=7355, start_equity_usd=1_001_295.25,
        equity_usd=1_000_000.0, return_fraction=-0.0012936,
    )  # fmt: skip


class Play(Script):
    """A console that knows its run."""

    def __init__(self, settings: Settings = SETTINGS, run: str = "run-1") -> None:
        super().__init__(console, settings, instant(DAY, "15:54:52"))
        self.hear(RunBegan(run=run))
        self.wait(11)  # what a start is given to come up

    def lines(self, *messages: Message) -> list[str]:
        """What is printed on them, the line of market time left out."""
        printed = of(Print, self.hear(*messages))
        return [line for p in printed for line in p.text.splitlines() if not line.startswith("— ")]


@pytest.fixture
def play() -> Play:
    return Play()


def test_each_group_of_lines_carries_its_market_time_on_a_line_of_its_own(play: Play) -> None:
    (printed,) = of(Print, play.hear(LINK))
    assert printed.text.splitlines()[0] == "— 2025-06-02 15:55:03 ET"
    assert printed.text.endswith("\n")


def test_the_documents_lines_stand_letter_for_letter(play: Play) -> None:
    assert play.lines(LINK, SIGNAL, baseline()) == [
        "✅ Connected to IBKR Paper Trading (Port 7497)",
        "   Account: DU***67",
        "✅ EMAs Initialized: 25=399.87 | 125=356.11",
        "   Signal: BULL",
        "📅 Day Start Equity: $1,001,295.25",
    ]
    entry = Entered(
        day=DAY, shares=7355, price_usd=408.39, leverage=2.9998, equity_usd=1e6, again=False
    )
    assert play.lines(entry) == ["✅ ENTERED: 7355 shares @ $408.39 (Leverage: 3.0x)"]


@pytest.mark.parametrize(
    ("leverage", "text"), [(3.0, "3.0x"), (3.75, "3.75x"), (3.5, "3.5x"), (2.8734, "2.87x")]
)
def test_a_leverage_is_written_as_in_the_document(play: Play, leverage: float, text: str) -> None:
    entry = Entered(
        day=DAY, shares=1, price_usd=1.0, leverage=leverage, equity_usd=1.0, again=False
    )
    assert play.lines(entry)[0].endswith(f"(Leverage: {text})")


def test_a_live_account_is_called_live() -> None:
    live = Play(Settings(account=Account(mode="live", id="U7654321")))
    link = BrokerLink(
        state="ready", account="U7654321", port=7496, since_ns=0, clock_offset_s=0.0, reason=""
    )
    assert live.lines(link) == [
        "✅ Connected to IBKR Live Trading (Port 7496)",
        "   Account: U7***21",
    ]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            StopHit(
                day=DAY, equity_usd=979_000.0, stop_usd=980_000.0, mark_usd=401.5, why="confirmed"
            ),
            "🛑 STOP: equity $979,000.00 at or below $980,000.00, SMH $401.50\n   confirmed",
        ),
        (
            Exited(
                day=DAY, shares=7355, price_usd=401.4, reason="stop", profit_usd=-21_000.5,
                equity_usd=979_000.0,
            ),
            """🚪 EXITED: 7355 shares @ $401.40 (stop)
   Profit since the baseline: -$21,000.50 | Equity: $979,000.00""",
        ),
        (
            SignalChanged(day=DAY, before="BULL", after="BEAR", final=True),
            "📊 Signal changed: BULL → BEAR",
        ),
        (
            EntryRefused(day=DAY, reason="margin: SMA below 0 (margin.check)", final=True),
            "❌ No entry today: margin: SMA below 0 (margin.check)",
        ),
        (
            EntryRefused(day=DAY, reason="no valid price", final=False),
            "❌ Entry waits: no valid price",
        ),
        (
            EntryClamped(day=DAY, table=3.75, allowed=3.31, why="what-if"),
            "   Leverage 3.75x lowered to 3.31x: what-if",
        ),
        (
            ExitFailed(day=DAY, intent_id="x", shares_left=5, rejected=True, reason="201"),
            "❌ Exit rejected by the broker with 5 shares left: 201",
        ),
        (
            BrokerNotice(code=2110, kind="link", text="Connectivity lost", mend="check the line"),
            "   TWS 2110: Connectivity lost\n   → check the line",
        ),
        (
            OrderState(
                intent_id="20250602-ENTRY-1", purpose="ENTRY", status="REJECTED", shares=1,
                filled=0, average_usd=0.0, reason="margin",
            ),
            "❌ Order 20250602-ENTRY-1 REJECTED: margin",
        ),
        (
            summary(),
            SUMMARY_LINE,
        ),
        (
            HaltLatch(mode="HALTED", reason="by hand", since_ns=1),
            "⛔ HALTED (no entries, exits go): by hand",
        ),
        (risk(5, breached="no link"), "🚨 BREACHED: no link"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Message) else "",
)  # fmt: skip
def test_each_event_has_its_line(play: Play, message: Message, expected: str) -> None:
    assert play.lines(message) == expected.split("\n")


REFUSED_EXIT = OrderState(
    intent_id="20250602-EXIT-1", purpose="EXIT", status="REJECTED", shares=100, filled=0,
    average_usd=0.0, reason="the group is closed",
)  # fmt: skip


NOT_NEEDED = "   Order 20250602-EXIT-1 was not needed: the stop at the broker sold first"
TROUBLE = "❌ Order 20250602-EXIT-1 REJECTED: the group is closed"
STOPPED_AT_BROKER = Exited(DAY, 100, 400.0, "resting_stop", -1.0, 1e6)


def orders_told(play: Play) -> list[str]:
    """Every line on an order so far."""
    lines = [line for p in of(Print, play.said) for line in p.text.splitlines()]
    return [line for line in lines if "Order " in line]


@pytest.mark.parametrize("first", ["the sale", "the refusal"])
def test_an_exit_that_the_stop_at_the_broker_forestalls_is_no_trouble(
    play: Play, first: str
) -> None:
    """Executor and risk monitor tell of it, so either may be heard first."""
    play.hear(risk(100, resting_usd=399.0))
    play.forget()
    told = (STOPPED_AT_BROKER, REFUSED_EXIT)
    play.hear(*(told if first == "the sale" else told[::-1]))
    play.ticks(30)
    play.hear(REFUSED_EXIT)  # told again
    play.ticks(30)
    assert orders_told(play) == [NOT_NEEDED]


def test_a_refusal_that_no_sale_at_the_broker_explains_is_told_in_seconds(play: Play) -> None:
    play.hear(risk(100, resting_usd=399.0))
    play.forget()
    play.hear(REFUSED_EXIT)
    assert orders_told(play) == []
    for _ in range(20):  # told again and again, it is not put off
        play.hear(REFUSED_EXIT)
        play.tick(0.2)
    play.hear(STOPPED_AT_BROKER)
    assert orders_told(play) == [TROUBLE]


@pytest.mark.parametrize("before", ["sold otherwise", "bought again"])
def test_any_other_exit_that_is_refused_is_trouble(play: Play, before: str) -> None:
    if before == "sold otherwise":
        play.hear(Exited(DAY, 100, 400.0, "stop", -1.0, 1e6))
    else:
        play.hear(Exited(DAY, 100, 400.0, "resting_stop", -1.0, 1e6))
        play.hear(Entered(DAY, 100, 400.0, 3.0, 1e6, again=True))
    assert play.lines(REFUSED_EXIT) == [TROUBLE]


def test_the_readiness_line_says_of_each_thing_ok_or_its_reason(play: Play) -> None:
    link = Check(name="link", ok=True, detail="port 7497")
    data = Check(name="data", ok=False, detail="no live quotes")
    assert play.lines(GoNoGo(day=DAY, checks=(link,))) == [
        "✅ GO for the entry",
        "   link: port 7497",
    ]
    assert play.lines(GoNoGo(day=DAY, checks=(link, data))) == [
        "❌ NO-GO for the entry",
        "   ❌ data: no live quotes",
        "   link: port 7497",
    ]


def test_averages_and_baseline_wait_for_the_connection(play: Play) -> None:
    assert play.lines(SIGNAL, baseline()) == []
    assert len(play.lines(LINK)) == 5


def test_what_a_held_night_made_is_said_where_the_day_begins_as_the_stop_comes_on_top(
    play: Play,
) -> None:
    assert play.lines(LINK, SIGNAL, baseline(shares=7355, night_usd=-20_000.0))[-2:] == [
        "📅 Day Start Equity: $1,001,295.25",
        "   Overnight: -$20,000.00 (-1.96%) since the close before; today's 2% comes on top",
    ]


def test_a_run_that_is_continued_counts_its_days_from_before(play: Play) -> None:
    play.lines(LINK, SIGNAL, baseline(), summary())
    play.hear(RunBegan(run="run-2"))
    tomorrow = date(2025, 6, 3)
    play.lines(LINK, SIGNAL, baseline(tomorrow))
    play.hear(summary(tomorrow), RunEnded(days=2))
    assert play.tick() == [Outcome(refused="", days=(summary(), summary(tomorrow)))]


def test_a_night_that_was_not_held_or_that_the_stop_counts_is_no_line(play: Play) -> None:
    play.lines(LINK, SIGNAL, baseline())
    assert len(play.lines(baseline(date(2025, 6, 3), shares=0))) == 1

    counted = Play(Settings(stop=Stop(baseline="previous_close")))
    counted.lines(LINK, SIGNAL, baseline())
    assert len(counted.lines(baseline(date(2025, 6, 3), shares=7355, night_usd=0.0))) == 1


def test_what_stands_is_said_once_and_again_only_when_it_changes(play: Play) -> None:
    play.lines(LINK, SIGNAL, baseline())
    assert play.lines(LINK, SIGNAL, baseline()) == []
    tomorrow = baseline(date(2025, 6, 3))
    assert play.lines(tomorrow) == ["📅 Day Start Equity: $1,001,295.25"]


def test_a_baseline_that_was_rebuilt_says_how(play: Play) -> None:
    assert play.lines(LINK, baseline(labelled="rebuilt: started late"))[-1] == (
        "   rebuilt: started late"
    )


def test_of_an_outage_that_passes_by_itself_only_its_end_is_printed(play: Play) -> None:
    play.lines(LINK)
    assert play.lines(DOWN) == []
    play.wait(5)
    assert play.lines(Tick(), LINK, LINK, Tick()) == ["   Connected to TWS again (Port 7497)"]


def test_a_service_that_had_ended_leaves_one_line_and_no_alert(play: Play) -> None:
    play.lines(LINK)
    assert play.lines(Restarted("risk_monitor", 1, 1)) == [
        "   risk_monitor had ended and runs again"
    ]
    assert play.lines(Restarted("risk_monitor", 2, 2)) == [
        "   risk_monitor had ended and runs again, 2 times by now"
    ]
    assert not play.all(RunAlertCommand)


def test_a_trouble_that_lasts_is_printed_once_and_so_is_its_end(play: Play) -> None:
    play.lines(LINK)
    play.hear(DOWN)
    play.wait(11)
    assert play.lines(Tick(), Tick()) == ["❌ Not connected to TWS: nothing listens"]
    assert play.lines(LINK)[0] == "✅ Connected to IBKR Paper Trading (Port 7497)"


def test_a_data_problem_is_printed_with_its_mend_and_its_end(play: Play) -> None:
    problem = FeedState(
        connected=True, kind="live", halted=False, competing=False, tick_ns=1,
        problem="no SMH tick for more than 5 s",
    )  # fmt: skip
    play.hear(problem)
    play.wait(11)
    assert play.lines(Tick()) == ["❌ Market data: no SMH tick for more than 5 s"]
    assert play.lines(FEED) == ["✅ Market data is back"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Entered(DAY, 7355, 408.39, 3.0, 1e6, again=False), "✅ ENTERED: 7355"),
        (StopHit(DAY, 1.0, 2.0, 3.0, "x"), "🛑 STOP"),
        (Exited(DAY, 1, 2.0, "bear", 0.0, 1.0), "🚪 EXITED"),
        (EntryRefused(DAY, "why", final=True), "❌ No entry today: why"),
        (SignalChanged(DAY, "BULL", "BEAR", final=True), "📊 Signal changed"),
        (PAGE, "🚨 no price"),
        (Alert("notice", "flow", "money came", raised=True), "🔔 money came"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Message) else "",
)
def test_what_a_person_must_know_goes_to_the_alert_command(
    play: Play, message: Message, text: str
) -> None:
    (command,) = of(RunAlertCommand, play.hear(message))
    assert command.text.startswith(text)


def test_a_page_repeats_until_it_ends(play: Play) -> None:
    play.hear(PAGE)
    assert of(RunAlertCommand, play.tick(after_s=299)) == []
    assert len(of(RunAlertCommand, play.tick(after_s=2))) == 1
    assert of(RunAlertCommand, play.tick(after_s=299)) == []
    assert play.lines(OVER) == ["✅ Over: no price"]
    assert of(RunAlertCommand, play.tick(after_s=600)) == []


def test_an_acknowledged_page_repeats_no_more_but_a_new_trouble_does(play: Play) -> None:
    play.hear(PAGE)
    answer = of(Accepted, play.hear(AckAlerts(key="k1", deadline_ns=0, by="me")))
    assert answer[0].note.startswith("1 pages acknowledged")
    assert of(RunAlertCommand, play.tick(after_s=600)) == []
    other = Alert(level="page", code="blind", text="no price, no PnL", raised=True)
    play.hear(other)
    assert len(of(RunAlertCommand, play.tick(after_s=301))) == 1


def test_a_page_that_ends_while_the_system_comes_up_is_no_news() -> None:
    starting = Script(console, SETTINGS, instant(DAY, "15:55:03"))
    starting.hear(RunBegan(run="run-1"))
    starting.hear(PAGE)
    starting.tick(after_s=5)
    starting.hear(OVER)
    starting.tick(after_s=10)
    assert starting.said == []


def test_a_page_that_outlasts_the_start_is_told() -> None:
    starting = Script(console, SETTINGS, instant(DAY, "15:55:03"))
    starting.hear(RunBegan(run="run-1"))
    starting.hear(PAGE)
    (command,) = of(RunAlertCommand, starting.tick(after_s=10))
    assert command.text == "🚨 no price"


def test_an_alert_leaves_before_its_line_is_written(play: Play) -> None:
    """A full disk may refuse the line."""
    kinds = [type(output) for output in play.hear(PAGE)]
    assert kinds.index(RunAlertCommand) < kinds.index(Print)


def test_a_full_disk_is_a_page_until_it_has_room(play: Play) -> None:
    full, roomy = DiskState(roomy=False, free_mb=3.0), DiskState(roomy=True, free_mb=9_000.0)
    assert play.hear(roomy) == []
    # when the disk fills, it is paged at once and named in the status
    (alert,) = of(Alert, play.hear(full))
    assert (alert.level, alert.code, alert.raised) == ("page", "disk", True)
    assert of(RunAlertCommand, play.tick())[0].text.startswith(
        "🚨 the disk of the journals is full"
    )
    # it is said once, a restart included, and its end too
    assert play.hear(full) == []
    assert play.lines(roomy)[0].startswith("✅ Over: the disk of the journals is full")
    assert of(RunAlertCommand, play.tick(after_s=400)) == []


def test_a_notice_is_sent_once(play: Play) -> None:
    play.hear(Alert(level="notice", code="flow", text="money came", raised=True))
    assert of(RunAlertCommand, play.tick(after_s=600)) == []


def test_a_test_alert_is_sent_and_answered_and_its_repeat_only_answered(play: Play) -> None:
    command = TestAlert(key="t1", deadline_ns=0)
    first, again = play.hear(command), play.hear(command)
    assert len(of(RunAlertCommand, first)) == 1
    assert of(RunAlertCommand, again) == []
    assert of(Accepted, first) == of(Accepted, again)


def test_a_failing_alert_command_is_told(play: Play) -> None:
    assert play.lines(AlertRan(number=0, problem="ended with status 1")) == [
        "❌ alerts.alert_command: ended with status 1"
    ]


def test_an_alert_whose_command_was_cut_off_by_a_kill_is_sent_after_the_restart(play: Play) -> None:
    (command,) = of(RunAlertCommand, play.hear(PAGE))
    assert of(RunAlertCommand, play.restart()) == [command]
    play.hear(AlertRan(number=command.number, problem=""))
    assert of(RunAlertCommand, play.restart()) == []


def test_after_a_kill_the_newest_lines_are_offered_at_the_places_they_had(play: Play) -> None:
    play.hear(LINK, SIGNAL)
    printed = play.all(Print)
    play.restart()
    assert of(Print, play.hear(RunBegan(run="run-1"))) == printed
    assert play.lines(LINK, SIGNAL) == []


def test_lines_follow_each_other_byte_by_byte_in_the_file(play: Play) -> None:
    play.hear(LINK, SIGNAL, baseline(), PAGE)
    offset = 0
    for printed in play.all(Print):
        assert printed.offset == offset
        offset += len(printed.text.encode())


def test_a_new_run_of_the_system_says_everything_again(play: Play) -> None:
    play.hear(LINK, SIGNAL, baseline())
    play.restart()
    play.hear(RunBegan(run="run-2"))
    assert len(play.lines(LINK)) == 5


def test_the_end_of_the_days_hands_the_launcher_their_summaries(play: Play) -> None:
    days = [summary(DAY), summary(date(2025, 6, 3))]
    play.hear(*days, RunEnded(days=2))
    assert play.tick() == [Outcome(refused="", days=tuple(days))]
    assert play.tick() == []


def test_the_end_waits_a_while_for_a_summary_that_comes_late(play: Play) -> None:
    play.hear(RunEnded(days=1))
    assert play.tick(after_s=1) == []
    play.hear(summary())
    assert play.tick() == [Outcome(refused="", days=(summary(),))]


def test_the_end_does_not_wait_for_ever(play: Play) -> None:
    play.hear(RunEnded(days=1))
    assert play.tick(after_s=11) == [Outcome(refused="", days=())]


def test_a_login_that_may_not_be_used_ends_the_start_with_its_reason(play: Play) -> None:
    locked = BrokerLink(
        state="locked", account="U7654321", port=7496, since_ns=0, clock_offset_s=None,
        reason="not a paper account: U7***21",
    )  # fmt: skip
    assert of(Outcome, play.hear(locked)) == [
        Outcome(refused="not a paper account: U7***21", days=())
    ]


def test_a_read_only_api_ends_the_start_with_its_reason(play: Play) -> None:
    reason = "TWS did not finish its answer; a read-only API never does: untick Read-Only API"
    link = BrokerLink(
        state="reconciling", account="DU1234567", port=7497, since_ns=0, clock_offset_s=None,
        reason=reason,
    )  # fmt: skip
    assert of(Outcome, play.hear(link)) == [Outcome(refused=reason, days=())]


NO_DATA = FeedState(
    connected=True, kind="none", halted=False, competing=False, tick_ns=0,
    problem="no SMH data: not subscribed (354): subscribe",
)  # fmt: skip
COMPETING = FeedState(
    connected=True, kind="none", halted=False, competing=True, tick_ns=0,
    problem="no SMH data: competing live session (10197): log out there",
)  # fmt: skip


def test_no_permission_for_any_data_ends_the_start_with_its_reason(play: Play) -> None:
    assert of(Outcome, play.hear(LINK, NO_DATA)) == []
    assert of(Outcome, play.tick(after_s=11)) == [Outcome(refused=NO_DATA.problem, days=())]
    assert of(Outcome, play.tick()) == []


def test_a_start_without_data_goes_on_while_shares_are_held(play: Play) -> None:
    """Their stop needs the run: it goes by the broker's PnL."""
    assert of(Outcome, play.hear(LINK, NO_DATA, risk(shares=7355))) == []
    assert of(Outcome, play.ticks(100)) == []


def test_a_start_without_data_goes_on_until_the_position_is_known(play: Play) -> None:
    assert of(Outcome, [*play.hear(DOWN, NO_DATA), *play.ticks(100)]) == []


def test_a_competing_session_at_the_start_does_not_end_it(play: Play) -> None:
    """The feed asks again by itself, and entries halt until then."""
    assert of(Outcome, [*play.hear(LINK, COMPETING, risk(0)), *play.ticks(100)]) == []


def test_data_that_come_late_end_nothing(play: Play) -> None:
    assert of(Outcome, [*play.hear(LINK, NO_DATA, FEED), *play.ticks(100)]) == []


def test_a_system_that_was_once_linked_and_had_data_is_not_ended_by_trouble(play: Play) -> None:
    play.hear(LINK, FEED)
    locked = BrokerLink(
        state="locked", account="U1", port=1, since_ns=0, clock_offset_s=None, reason="second copy"
    )
    refused = FeedState(
        connected=True, kind="none", halted=False, competing=True, tick_ns=0,
        problem="no SMH data: competing session (10197)",
    )  # fmt: skip
    assert of(Outcome, play.hear(locked, refused)) == []


def test_data_that_came_first_does_not_hide_that_the_login_may_not_be_used(play: Play) -> None:
    locked = BrokerLink(
        state="locked", account="U1", port=1, since_ns=0, clock_offset_s=None, reason="no paper"
    )
    assert of(Outcome, play.hear(FEED, locked)) == [Outcome(refused="no paper", days=())]


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (risk(0), "⏹️ System shutdown. No position"),
        (risk(7355), UNPROTECTED_LINE),
        (
            risk(7355, resting_usd=400.0),
            RESTING_LINE,
        ),
    ],
    ids=["flat", "unprotected", "resting"],
)
def test_stopping_says_what_protects_an_open_position(
    play: Play, state: RiskState, line: str
) -> None:
    play.hear(LINK, state)
    assert play.lines(Stopping()) == [line]


def test_stopping_before_the_broker_was_heard_claims_nothing(play: Play) -> None:
    play.hear(DOWN, risk(0))
    unknown = "⏹️ System shutdown. The position is not known here: look in TWS"
    assert play.lines(Stopping()) == [unknown]


def test_a_flood_of_lines_keeps_the_state_small(play: Play) -> None:
    for number in range(500):
        play.hear(Alert("notice", f"n{number}", "text", raised=True))
        play.wait(1)
    assert len(play.state.recent) == console.RECENT
    assert len(play.state.commands) == console.COMMANDS_WAITING_MAX
