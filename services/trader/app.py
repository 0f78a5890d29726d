"""The commands of `trader`, each a few lines: find the system, ask or hear, show, exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, ParamSpec

import msgspec
import typer

from common import running, topology
from common.bus import Bus
from services.trader import (
    asking,
    commands,
    comparison,
    find,
    history,
    look,
    past,
    research,
    screen,
    sweeping,
)
from services.trader import sim as sims
from services.trader import tail as tails
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.output import show, show_json

CODES = (
    "Exit codes: 0 ok; 1 no, refused or different; 2 bad usage or settings; "
    "3 not running or unreachable; 4 timed out."
)
app = typer.Typer(
    name="trader",
    help="Look at the trading system and tell it what to do. " + CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
Mode = Annotated[
    Literal["sim", "paper", "live"] | None,
    typer.Option("--mode", help="Which system, when several run."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask back.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays on record.")]

Params = ParamSpec("Params")


def told(command: Callable[Params, ExitCode | None]) -> Callable[Params, None]:
    """Ends the process with the command's exit code; an error is one plain line.

    A group of commands returns None where one of its own is to follow.
    """

    @functools.wraps(command)
    def run(*args: Params.args, **kwargs: Params.kwargs) -> None:
        code: ExitCode | None
        try:
            code = command(*args, **kwargs)
        except CommandError as error:
            if kwargs.get("as_json"):
                show_json({"error": error.reason, "exit_code": int(error.code)})
            else:
                typer.echo(f"trader: {error.reason}", err=True)
            code = error.code
        except KeyboardInterrupt:
            code = ExitCode.OK
        except BrokenPipeError:  # the reader of a pipe has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = ExitCode.OK
        if code is not None:
            raise typer.Exit(int(code))

    return run


@app.command()
@told
def status(as_json: Json = False, mode: Mode = None) -> ExitCode:
    """One screen: why am I (not) in the market, and is everything alive?"""

    view = look.around(find.any_system(running.var_root(), mode))
    if as_json:
        show_json(view.as_json())
    else:
        show(screen.status(view.title, view.answer, view.rows, view.services, view.warnings))
    return ExitCode.OK if view.running else ExitCode.NOT_RUNNING


@app.command()
@told
def tail(
    topics: Annotated[list[str] | None, typer.Argument(help="Facts to show, by name.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Frames as plain msgpack sees them.")] = False,
    as_json: Json = False,
    mode: Mode = None,
) -> ExitCode:
    """The bus, live: every new fact on a line, until Ctrl+C (the busiest only when named)."""

    kinds = tails.kinds_of(topics or [])
    bus = Bus(topology.TRADER, Path(find.running_system(running.var_root(), mode).run_dir))
    try:
        if raw:
            for topic, envelope in tails.raw(bus, kinds):
                show_json({topic: envelope}) if as_json else typer.echo(f"{topic} {envelope}")
        else:
            for line in tails.json_lines(bus, kinds) if as_json else tails.lines(bus, kinds):
                typer.echo(line)
    finally:
        bus.close()
    return ExitCode.OK


@app.command()
@told
def halt(reason: Reason, as_json: Json = False, mode: Mode = None) -> ExitCode:
    """No new risk from now on; exits still go. Told to risk_monitor and, durably, the gateway."""

    return ask(commands.halt(asking.new_key(), who(), reason), as_json, mode)


@app.command()
@told
def flatten(yes: Yes = False, as_json: Json = False, mode: Mode = None) -> ExitCode:
    """Sell all SMH now (or at the next open) and stay out until `trader resume`."""

    question = "Sell everything and stay out until `trader resume`?"
    _confirm(mode, ("position", "orders", "next", "mode"), question, yes=yes, as_json=as_json)
    return ask(commands.flatten(asking.new_key(), who()), as_json, mode)


@app.command()
@told
def resume(yes: Yes = False, as_json: Json = False, mode: Mode = None) -> ExitCode:
    """Leave HALTED, after seeing what differs. A flatten that was not done yet is called off."""

    shown = ("mode", "position", "orders", "link", "signal", "next", "alerts")
    _confirm(mode, shown, "Let it enter again?", yes=yes, as_json=as_json)
    return ask(commands.resume(asking.new_key(), who()), as_json, mode)


@app.command()
@told
def adopt(yes: Yes = False, as_json: Json = False, mode: Mode = None) -> ExitCode:
    """Take the SMH position that was found as the strategy's own."""

    _confirm(
        mode, ("position", "stop", "orders", "mode"), "Take this position as the strategy's own?",
        yes=yes, as_json=as_json,
    )  # fmt: skip
    return ask(commands.adopt(asking.new_key(), who()), as_json, mode)


@app.command()
@told
def unlock(reason: Reason, yes: Yes = False, as_json: Json = False, mode: Mode = None) -> ExitCode:
    """Leave LOCKED, with the reason on record."""

    shown = ("mode", "link", "position", "orders")
    _confirm(mode, shown, "Unlock?", yes=yes, as_json=as_json)
    return ask(commands.unlock(asking.new_key(), who(), reason), as_json, mode)


@app.command()
@told
def ack(as_json: Json = False, mode: Mode = None) -> ExitCode:
    """Pages have been seen: they stop repeating."""

    return ask(commands.ack(asking.new_key(), who()), as_json, mode)


@app.command("test-alert")
@told
def send_test_alert(as_json: Json = False, mode: Mode = None) -> ExitCode:
    """Send a page through alerts.alert_command, to see that it arrives."""

    return ask(commands.try_alert(asking.new_key()), as_json, mode)


@app.command()
@told
def why(
    order: Annotated[str, typer.Argument(help="IB's order id, or ours (20250602-ENTRY-1).")],
    everything: Annotated[bool, typer.Option("--all", help="Raw reports of TWS as well.")] = False,
    as_json: Json = False,
    mode: Mode = None,
) -> ExitCode:
    """The chain of causes of an order: fact, decision, order, fills, commission."""

    found = past.why(_any_var_dir(mode), order)
    if as_json:
        show_json(past.chain_as_json(found))
    else:
        show(past.chain_on_screen(found, everything=everything))
    return ExitCode.OK


@app.command()
@told
def rejudge(
    day: Annotated[str, typer.Argument(help="Session, YYYY-MM-DD.")],
    as_json: Json = False,
    mode: Mode = None,
) -> ExitCode:
    """That day's journaled inputs through today's deciders: identical, or the first difference."""

    verdicts = past.rejudge_day(_any_var_dir(mode), day)
    if as_json:
        show_json([past.verdict_as_json(verdict) for verdict in verdicts])
    else:
        show(past.verdicts_on_screen(verdicts))
    return ExitCode.OK if all(verdict.identical for verdict in verdicts) else ExitCode.NO


@app.command()
@told
def doctor(as_json: Json = False, mode: Mode = None) -> ExitCode:
    """Checks everything that can be checked without sending an order: ok, or what to do."""
    from services.trader.doctor import examine, on_screen  # noqa: PLC0415  (it loads ib_insync)

    found = examine(running.var_root(), mode)
    show_json(msgspec.to_builtins(found)) if as_json else show(on_screen(found))
    return ExitCode.NO if any(check.verdict == "fail" for check in found) else ExitCode.OK


@app.command()
@told
def sim(
    fault: Annotated[str, typer.Argument(help="Fault, truth, status; empty: list.")] = "",
    args: Annotated[list[str] | None, typer.Argument(help="name=value ...")] = None,
    as_json: Json = False,
) -> ExitCode:
    """Make the simulated TWS misbehave, or tell the truth about its account."""

    request: dict[str, Any] = {"fault": fault, "args": sims.arguments(args or [])}
    if fault in ("", "truth", "status"):
        request = {fault or "list": True}
    answer = sims.ask(_run_dir("sim"), request)
    show_json(answer) if as_json else show(sims.on_screen(answer))
    return ExitCode.OK


app.command()(told(research.backtest))
app.command("report")(told(research.write_report))
app.command()(told(research.reproduce))
app.command()(told(sweeping.sweep))
app.command()(told(comparison.compare))
histories = typer.Typer(invoke_without_command=True)
histories.callback()(told(history.refresh))
histories.command()(told(history.check))
app.add_typer(histories, name="history")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def run(context: typer.Context) -> NoReturn:
    """Start the system (the same as `make run`); arguments go to services/run."""
    os.execv(sys.executable, [sys.executable, "-m", "services.run", *context.args])  # noqa: S606  (no shell is wanted)


def ask(questions: commands.Questions, as_json: bool, mode: running.Mode | None) -> ExitCode:
    """Asks the running system and shows who answered what; the exit code of all together."""
    bus = Bus(topology.TRADER, _run_dir(mode))
    try:
        replies = asking.ask(bus, questions)
    finally:
        bus.close()

    code = asking.exit_code(replies)
    if as_json:
        show_json({"answers": msgspec.to_builtins(replies), "exit_code": int(code)})
    else:
        show(screen.replies(replies))
    return code


def _confirm(
    mode: running.Mode | None, keys: Sequence[str], question: str, *, yes: bool, as_json: bool
) -> None:
    """Shows the rows that bear on the question, then asks; CommandError when the answer is no."""
    if as_json and not yes:
        raise CommandError(ExitCode.USAGE, "--json cannot ask back: add --yes")
    if yes:
        return

    view = look.around(find.running_system(running.var_root(), mode))
    show(screen.grid([row for row in view.rows if row.key in keys]))
    if not typer.confirm(question):
        raise CommandError(ExitCode.NO, "nothing was asked of anyone")


def _run_dir(mode: running.Mode | None) -> Path:

    return Path(find.running_system(running.var_root(), mode).run_dir)


def _any_var_dir(mode: running.Mode | None) -> Path:

    return Path(find.any_system(running.var_root(), mode).var_dir)


def who() -> str:
    """Who asks, for the record."""
    return f"{os.environ.get('USER') or os.getuid()}@terminal"[:80]
