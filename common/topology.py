"""One table: who says what, who hears it, who asks what of whom, and what silence means.

The README's message table and docs/commands.md are tested against this page. Each service binds
one PUB (facts) and one ROUTER (commands) ipc endpoint; no process sits between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common import messages as m

FEED = "market_feed"
SIGNAL = "signal_engine"
RISK = "risk_monitor"
EXECUTOR = "order_executor"
GATEWAY = "broker_gateway"
WATCHDOG = "watchdog"
PACER = "pacer"
CONSOLE = "console"
RISK_STANDBY = "risk_standby"  # a program beside RISK: whichever of the two is active is RISK
TRADER = "trader"  # the person's command line: asks, hears, says nothing

DECIDERS = (FEED, SIGNAL, RISK, EXECUTOR, GATEWAY)
SPEAKERS = (*DECIDERS, WATCHDOG, PACER, CONSOLE)

# last: the newest is said again every second, so a late listener heals by itself.
# session: every one matters; all of the session are said again when a hearer asks for a Recap.
# event: said once, for the person's eye; nothing depends on it.
Keep = Literal["last", "session", "event"]


@dataclass(frozen=True, slots=True)
class Said:
    """A fact: its one speaker, its hearers, how it is kept, after how long silence is a fault."""

    speaker: str
    hearers: tuple[str, ...]
    keep: Keep
    silence_s_max: float | None = None
    """Host seconds without a word (repeats included) after which the hearer calls it stale."""


FACTS: dict[type[m.Message], Said] = {
    m.Quote: Said(FEED, (RISK,), "last", 5.0),
    m.VixLevel: Said(FEED, (SIGNAL,), "last"),
    m.Session: Said(FEED, (SIGNAL, RISK, EXECUTOR, GATEWAY, CONSOLE), "last", 5.0),
    m.OpeningPrint: Said(FEED, (RISK,), "last"),
    m.Distribution: Said(FEED, (RISK,), "last"),
    m.DailyHistory: Said(FEED, (SIGNAL,), "last"),
    m.DailyBar: Said(FEED, (SIGNAL, RISK), "last"),
    m.FeedState: Said(FEED, (RISK, CONSOLE), "last", 5.0),
    m.Signal: Said(SIGNAL, (RISK, CONSOLE), "last"),
    m.SignalChanged: Said(SIGNAL, (CONSOLE,), "session"),
    m.TargetPosition: Said(SIGNAL, (RISK,), "last", 5.0),
    m.BaselineSet: Said(RISK, (CONSOLE,), "last"),
    m.DistributionCounted: Said(RISK, (CONSOLE,), "session"),
    m.Equity: Said(RISK, (), "last"),
    m.StopArmed: Said(RISK, (GATEWAY,), "last", 3.0),
    m.BreachSuspected: Said(RISK, (), "event"),
    m.BreachCleared: Said(RISK, (), "event"),
    m.StopHit: Said(RISK, (GATEWAY, CONSOLE), "session"),
    m.GoNoGo: Said(RISK, (CONSOLE,), "session"),
    m.EntryRefused: Said(RISK, (CONSOLE,), "session"),
    m.EntryClamped: Said(RISK, (CONSOLE,), "session"),
    m.Entered: Said(RISK, (CONSOLE,), "session"),
    m.Exited: Said(RISK, (CONSOLE,), "session"),
    m.ExitFailed: Said(RISK, (CONSOLE,), "session"),
    m.RiskState: Said(RISK, (CONSOLE,), "last", 5.0),
    m.DaySummary: Said(RISK, (CONSOLE,), "session"),
    m.OrderState: Said(EXECUTOR, (RISK, CONSOLE), "session"),
    m.BrokerLink: Said(GATEWAY, (FEED, RISK, EXECUTOR, CONSOLE), "last", 5.0),
    m.AccountSnapshot: Said(GATEWAY, (RISK,), "last", 5.0),
    m.BrokerPnl: Said(GATEWAY, (RISK,), "last"),
    m.OrderUpdate: Said(GATEWAY, (EXECUTOR, RISK), "session"),
    m.Fill: Said(GATEWAY, (RISK, EXECUTOR), "session"),
    m.Commission: Said(GATEWAY, (RISK,), "session"),
    m.OrderBook: Said(GATEWAY, (RISK,), "last", 5.0),
    m.HaltLatch: Said(GATEWAY, (RISK, CONSOLE), "last", 5.0),
    m.MarginPreview: Said(GATEWAY, (RISK,), "event"),
    m.BrokerNotice: Said(GATEWAY, (CONSOLE,), "session"),
    m.Restarted: Said(WATCHDOG, (CONSOLE,), "session"),
    m.Pace: Said(PACER, (), "last"),
    m.RunEnded: Said(PACER, (CONSOLE,), "last"),
}

# Said by every speaker.
HEARTBEAT_HEARERS = (WATCHDOG, PACER)
ALERT_HEARERS = (CONSOLE,)


@dataclass(frozen=True, slots=True)
class Asked:
    """A command: who may ask whom, who asks again, when it is void, what a dead answerer means."""

    askers: tuple[str, ...]
    answerers: tuple[str, ...]
    retry_owner: str
    deadline: str
    if_dead: str


_PERSON = "given by the command line; 10 s of host time, then it says so"
COMMANDS: dict[type[m.Message], Asked] = {
    m.PlaceOrder: Asked(
        (RISK,),
        (EXECUTOR,),
        "the asker's loop, every second of host time, same key",
        "none: asked until answered; the order's own deadline_ns goes on with it",
        "an entry waits and lapses at its deadline; an exit goes straight to the gateway after 1 s",
    ),
    m.SubmitOrder: Asked(
        (EXECUTOR, RISK),
        (GATEWAY,),
        "the asker's loop, every second of host time, same key",
        "none: asked until answered; order.deadline_ns, market time, is checked before the send",
        "nothing can leave; asked again when the gateway is back, refused when too late",
    ),
    m.CancelOrder: Asked(
        (EXECUTOR, RISK),
        (GATEWAY,),
        "the asker's loop, every second of host time, same key",
        "none: asked until answered",
        "the order stays as the broker has it; asked again when the gateway is back",
    ),
    m.PreviewMargin: Asked(
        (RISK,),
        (GATEWAY,),
        "the asker's loop, every second of host time, same key",
        "the last entry time, market time",
        "no preview, so no entry",
    ),
    m.Halt: Asked(
        (TRADER, RISK, WATCHDOG),
        (RISK, GATEWAY),
        "the asker",
        _PERSON,
        "each of the two latches by itself; the gateway's alone stops every entry",
    ),
    m.Resume: Asked((TRADER,), (RISK, GATEWAY), "the person", _PERSON, "stays halted"),
    m.Flatten: Asked(
        (TRADER,), (RISK,), "the person", _PERSON, "supervisord restarts it; the person is told"
    ),
    m.Adopt: Asked((TRADER,), (RISK,), "the person", _PERSON, "stays refused"),
    m.Unlock: Asked((TRADER,), (GATEWAY,), "the person", _PERSON, "stays locked"),
    m.AckAlerts: Asked((TRADER,), (CONSOLE,), "the person", _PERSON, "pages go on repeating"),
    m.TestAlert: Asked((TRADER,), (CONSOLE,), "the person", _PERSON, "no page arrives"),
    m.Recap: Asked(
        (*SPEAKERS, TRADER),
        SPEAKERS,
        "the asker's loop, until the gap is closed",
        "none",
        "the hearer stays unready",
    ),
}


def heard_by(hearer: str) -> dict[str, tuple[type[m.Message], ...]]:
    """Per speaker, the facts that `hearer` subscribes to (its own never)."""
    topics: dict[str, list[type[m.Message]]] = {}
    for fact, said in FACTS.items():
        if hearer in said.hearers or hearer == TRADER:
            topics.setdefault(said.speaker, []).append(fact)
    for speaker in SPEAKERS:
        if hearer in (*HEARTBEAT_HEARERS, TRADER):
            topics.setdefault(speaker, []).append(m.Heartbeat)
        elif speaker in topics:
            topics[speaker].append(m.Heartbeat)  # it tells what was said, so a gap is noticed
        if hearer in (*ALERT_HEARERS, TRADER):
            topics.setdefault(speaker, []).append(m.Alert)
    topics.pop(hearer, None)
    return {speaker: tuple(facts) for speaker, facts in topics.items()}


def answerers_for(asker: str) -> frozenset[str]:
    """The services that `asker` may ask anything of (itself never)."""
    asked = {a for row in COMMANDS.values() if asker in row.askers for a in row.answerers}
    return frozenset(asked - {asker})


_SPEAKERS_OF: dict[type[m.Message], frozenset[str]] = {
    **{fact: frozenset({said.speaker}) for fact, said in FACTS.items()},
    m.Heartbeat: frozenset(SPEAKERS),
    m.Alert: frozenset(SPEAKERS),
}
_KEEPS: dict[type[m.Message], Keep] = {
    **{fact: said.keep for fact, said in FACTS.items()},
    m.Heartbeat: "event",
    m.Alert: "session",  # the one that ends it must arrive
}


def speaks(speaker: str, fact: type[m.Message]) -> bool:
    """Whether the table lets `speaker` say `fact`."""
    return speaker in _SPEAKERS_OF.get(fact, ())


def keep_of(fact: type[m.Message]) -> Keep:
    """How a fact is kept."""
    return _KEEPS[fact]


def facts_endpoint(run_dir: Path, speaker: str) -> str:
    return f"ipc://{run_dir}/{speaker}.facts"


def asks_endpoint(run_dir: Path, answerer: str) -> str:
    return f"ipc://{run_dir}/{answerer}.asks"
