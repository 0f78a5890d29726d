"""`trader why` and `trader rejudge`: the journals of a run, read and shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from common import rejudge, topology
from services.trader import journals
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.screen import STYLES
from services.trader.sentences import sentence
from services.trader.why import Chain, Step, chain, essential, intent_of, refusal_of
from services.trader.wording import market_time, named, one_line, usd, utc_time

INTENT_ID = re.compile(r"(\d{8})-(ENTRY|EXIT|STOP)-\d{1,3}")


def why(var_dir: Path, order: str) -> Chain:
    """The story of an order by IB's id or by ours; CommandError when no journal knows it."""
    intent_id = order.upper()
    if order.isdecimal():
        intent_id = _intent_of(var_dir, int(order))
    match = INTENT_ID.fullmatch(intent_id)
    if match is None:
        raise CommandError(
            ExitCode.USAGE, f"{order!r} is neither an IB order id nor like 20250602-ENTRY-1"
        )
    entries = _entries_around(var_dir, match[1])
    found = chain(entries, intent_id)
    if found is None:
        refused = refusal_of(entries, match[1]) if match[2] == "ENTRY" else None
        why_not = f": {sentence(refused)}" if refused is not None else ""
        text = f"no journal under {var_dir} knows the order {intent_id}{why_not}"
        raise CommandError(ExitCode.NO, text)
    return found


def _intent_of(var_dir: Path, order_id: int) -> str:
    for path in reversed(journals.files(var_dir, topology.GATEWAY)):
        intent_id = intent_of(journals.entries(path, topology.GATEWAY), order_id)
        if intent_id:
            return intent_id
    raise CommandError(
        ExitCode.NO, f"the gateway's journals under {var_dir} have no order {order_id}"
    )


def _entries_around(var_dir: Path, day: str) -> list[journals.Entry]:
    """What the deciders recorded on a session, on the one before (its close gave the signal) and on
    the one after (the night's news)."""
    known = journals.days(var_dir)
    earlier = [d for d in known if d < day][-1:]
    later = [d for d in known if d > day][:1]
    return [
        entry
        for service in topology.DECIDERS
        for wanted in (*earlier, day, *later)
        for path in journals.files_of(var_dir, service, wanted)
        for entry in journals.entries(path, service)
    ]


def chain_on_screen(found: Chain, *, everything: bool) -> RenderableType:
    """Causes and story; `everything`: also TWS's raw reports and each repetition."""
    order = found.order
    price_usd = order.limit_usd or order.stop_usd
    limit = f" at {usd(price_usd)}" if price_usd else ""
    title = (
        f"{order.intent_id}: {order.action} {order.shares:,} {order.order_type}{limit} "
        f"({order.reason}), sized at {usd(order.price_usd)}"
    )
    result = f"{found.status}, {found.filled:,} filled"
    if found.filled:
        result += f" at {usd(found.average_usd)}, commission {usd(found.commission_usd)}"
    if found.instead is not None:
        stop = found.instead
        result += (
            f": not needed, the stop at the broker had sold {stop.filled:,} at "
            f"{usd(stop.average_usd)} (trader why {stop.intent_id})"
        )
    return Group(
        Text(title, style="bold"),
        Text(result),
        Text("\nWhat it rests on", style="bold"),
        _timeline(found.causes),
        Text("\nWhat came of it", style="bold"),
        _timeline(found.story if everything else essential(found.story)),
    )


def _timeline(steps: Sequence[Step]) -> Table:
    """One step a row; the day stands on a row of its own where it changes."""
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column()
    day = ""
    for step in steps:
        today = market_time(step.at_ns)[:10]
        if today != day:
            table.add_row(Text(today, style="dim"))
            day = today
        table.add_row(
            Text(market_time(step.at_ns, day=False, millis=True), style="dim"),
            step.service,
            Text.assemble(
                (_verb(step), "dim"), " ", (type(step.message).__name__, "bold"), "  ",
                sentence(step.message),
            ),
        )  # fmt: skip
    return table


def _verb(step: Step) -> str:
    return f"heard from {step.source}:" if step.verb == "heard" else step.verb


def chain_as_json(found: Chain) -> dict[str, Any]:
    return {
        "order": named(found.order),
        "status": found.status,
        "filled_shares": found.filled,
        "average_usd": found.average_usd,
        "commission_usd": found.commission_usd,
        "not_needed_after": found.instead.intent_id if found.instead else None,
        "causes": [_step_as_json(step) for step in found.causes],
        "story": [_step_as_json(step) for step in found.story],
    }


def _step_as_json(step: Step) -> dict[str, Any]:
    return {
        "market_time": utc_time(step.at_ns),
        "service": step.service,
        "verb": step.verb,
        "source": step.source,
        "message": type(step.message).__name__,
        "fields": named(step.message),
    }


class Verdict(Struct, frozen=True, kw_only=True):
    """One service's day judged again. `problem`: why it could not be, or ""."""

    service: str
    path: str
    judged: rejudge.Judged | None
    problem: str = ""

    @property
    def identical(self) -> bool:
        return self.judged is not None and self.judged.difference is None


def rejudge_day(var_dir: Path, day: str) -> list[Verdict]:
    """Every service's journal of the session `day` (YYYY-MM-DD) through today's deciders."""
    try:
        name = f"{date.fromisoformat(day):%Y%m%d}"
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"{day!r} is no date like 2025-06-02") from error
    paths = [(s, path) for s in journals.SERVICES for path in journals.files_of(var_dir, s, name)]
    if not paths:
        known = ", ".join(f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in journals.days(var_dir)[-10:])
        raise CommandError(
            ExitCode.NO, f"no journal of {day} under {var_dir}; there are: {known or 'none'}"
        )
    return [_rejudge(service, path) for service, path in paths]


def _rejudge(service: str, path: Path) -> Verdict:
    decider = rejudge.decider_of(service)
    try:
        state = rejudge.state_of(decider, journals.header(path))
        records = ((entry.offset, entry.record) for entry in journals.entries(path, service))
        judged = rejudge.rejudge(decider, state, records)
    except msgspec.MsgspecError as error:
        problem = f"the state at its head is of another version: {error}"
        return Verdict(service=service, path=str(path), judged=None, problem=problem)
    except CommandError as error:
        return Verdict(service=service, path=str(path), judged=None, problem=error.reason)
    return Verdict(service=service, path=str(path), judged=judged)


def verdicts_on_screen(verdicts: list[Verdict]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("service", "inputs", "decisions", "verdict"):
        table.add_column(heading, justify="right" if heading.endswith("s") else "left")
    for verdict in verdicts:
        judged = verdict.judged
        text = "identical" if verdict.identical else verdict.problem or "DIFFERENT"
        table.add_row(
            verdict.service,
            f"{judged.inputs:,}" if judged else "-",
            f"{judged.decisions:,}" if judged else "-",
            Text(text, style=STYLES["good" if verdict.identical else "bad"]),
        )
    return Group(table, *(_difference(v) for v in verdicts if v.judged and v.judged.difference))


def _difference(verdict: Verdict) -> RenderableType:
    assert verdict.judged is not None
    assert verdict.judged.difference is not None
    found = verdict.judged.difference
    lines = [
        Text(f"\n{verdict.service}: {verdict.path}, byte {found.offset}", style="bold"),
        Text(f"{market_time(found.now.market_ns, millis=True)}  heard {_words(found.event)}"),
        *(Text(f"  recorded: {_words(output)}") for output in found.recorded),
        *(Text(f"  today:    {_words(output)}") for output in found.today),
    ]
    if found.error:
        lines.append(Text(f"  today's decider failed: {found.error}", style=STYLES["bad"]))
    return Group(*lines)


def _words(message: Any) -> str:
    return f"{type(message).__name__}  {one_line(message)}"


def verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    judged = verdict.judged
    found = judged.difference if judged else None
    return {
        "service": verdict.service,
        "path": verdict.path,
        "identical": verdict.identical,
        "problem": verdict.problem,
        "inputs": judged.inputs if judged else None,
        "decisions": judged.decisions if judged else None,
        "difference": None
        if found is None
        else {
            "offset": found.offset,
            "market_time": utc_time(found.now.market_ns),
            "source": found.source,
            "event": {type(found.event).__name__: named(found.event)},
            "recorded": [{type(o).__name__: named(o)} for o in found.recorded],
            "today": [{type(o).__name__: named(o)} for o in found.today],
            "error": found.error,
        },
    }
