"""The console's lines: the owner's document letter for letter, additions on lines of their own."""

from __future__ import annotations

from datetime import datetime

from common.clock import NEW_YORK, SECOND_NS
from common.messages import (
    Alert,
    BaselineSet,
    BrokerLink,
    BrokerNotice,
    DaySummary,
    DiskState,
    DistributionCounted,
    Entered,
    EntryClamped,
    EntryRefused,
    Exited,
    ExitFailed,
    FeedState,
    GoNoGo,
    HaltLatch,
    OrderState,
    Restarted,
    RiskState,
    Signal,
    SignalChanged,
    StopHit,
)
from common.settings import Settings

BAD_STATUSES = frozenset({"DENIED", "REJECTED", "UNKNOWN", "ABANDONED"})


def market_time(market_ns: int) -> str:
    """The line above each group: when it happened, in New York."""
    return f"— {datetime.fromtimestamp(market_ns // SECOND_NS, NEW_YORK):%Y-%m-%d %H:%M:%S} ET"


def short_account(account: str) -> str:
    """An account id as it may be shown: DU1234567 as DU***67."""
    return f"{account[:2]}***{account[-2:]}" if len(account) > 4 else account


def times(leverage: float) -> str:
    """A leverage as the document writes it: 3.0x, 3.75x."""
    text = f"{leverage:.2f}"
    return (text[:-1] if text.endswith("0") else text) + "x"


def usd(amount: float) -> str:
    """An amount as the document writes it: $1,001,295.25, and -$12.50."""
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


def connected(link: BrokerLink, settings: Settings) -> str:
    kind = "Live" if settings.account.mode == "live" else "Paper"
    return (
        f"✅ Connected to IBKR {kind} Trading (Port {link.port})\n"
        f"   Account: {short_account(link.account)}"
    )


def not_connected(link: BrokerLink) -> str:
    what = {
        "down": "Not connected to TWS",
        "reconciling": "Connected, comparing orders and positions with the broker",
        "degraded": "TWS has lost its link to IB",
        "locked": "LOCKED, nothing is sent",
    }.get(link.state, link.state)
    return f"❌ {what}: {link.reason}" if link.reason else f"❌ {what}"


def averages(signal: Signal, settings: Settings) -> str:
    fast, slow = settings.strategy.ema_fast, settings.strategy.ema_slow
    return (
        f"✅ EMAs Initialized: {fast}={signal.fast_usd:.2f} | {slow}={signal.slow_usd:.2f}\n"
        f"   Signal: {signal.side}"
    )


def day_start(baseline: BaselineSet, settings: Settings) -> str:
    """A stop that is measured from the open knows nothing of the night, so what a held one made is
    said where the day begins."""
    line = f"📅 Day Start Equity: {usd(baseline.baseline_usd)}"
    if baseline.labelled:
        line += f"\n   {baseline.labelled}"
    night_usd = baseline.night_usd
    before_usd = baseline.baseline_usd - (night_usd or 0.0)
    if settings.stop.baseline != "open" or night_usd is None or before_usd <= 0:
        return line
    return (
        f"{line}\n   Overnight: {usd(night_usd)} ({night_usd / before_usd:+.2%}) since the close "
        f"before; today's {settings.stop.loss_fraction * 100:g}% comes on top"
    )


def distribution(news: DistributionCounted, settings: Settings) -> str:
    a_share, counted = usd(news.distribution_usd), usd(news.counted_usd)
    symbol = settings.strategy.symbol
    return f"   {symbol} pays {a_share} a share today (ex-date): {counted} counted"


def go_no_go(check: GoNoGo) -> str:
    good = [f"{c.name}: {c.detail}" if c.detail else c.name for c in check.checks if c.ok]
    bad = [f"   ❌ {c.name}: {c.detail}" for c in check.checks if not c.ok]
    head = "❌ NO-GO for the entry" if bad else "✅ GO for the entry"
    return "\n".join([head, *bad, *_wrapped(good)])


def _wrapped(items: list[str]) -> list[str]:
    """Items side by side, as many to a line as a terminal of 100 columns shows."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 3 <= 100:
            lines[-1] += f" | {item}"
        else:
            lines.append(f"   {item}")
    return lines


def entered(entry: Entered) -> str:
    line = f"✅ ENTERED: {entry.shares} shares @ ${entry.price_usd:.2f}"
    line += f" (Leverage: {times(entry.leverage)})"
    return f"{line}\n   Re-entry after today's stop" if entry.again else line


def stop_hit(stop: StopHit) -> str:
    line = f"🛑 STOP: equity {usd(stop.equity_usd)} at or below {usd(stop.stop_usd)}"
    line += f", SMH ${stop.mark_usd:.2f}"
    return f"{line}\n   {stop.why}" if stop.why else line


def exited(done: Exited) -> str:
    first = ""
    if done.reason == "resting_stop":
        first = f"🛑 STOP: sold at the broker, where it rested, SMH ${done.price_usd:.2f}\n"
    return (
        f"{first}🚪 EXITED: {done.shares} shares @ ${done.price_usd:.2f} ({done.reason})\n"
        f"   Profit since the baseline: {usd(done.profit_usd)} | Equity: {usd(done.equity_usd)}"
    )


def signal_changed(change: SignalChanged) -> str:
    provisional = "" if change.final else " (provisional until the daily bar confirms)"
    return f"📊 Signal changed: {change.before} → {change.after}{provisional}"


def entry_refused(refusal: EntryRefused) -> str:
    head = "No entry today" if refusal.final else "Entry waits"
    return f"❌ {head}: {refusal.reason}"


def entry_clamped(clamp: EntryClamped) -> str:
    return f"   Leverage {times(clamp.table)} lowered to {times(clamp.allowed)}: {clamp.why}"


def exit_failed(failure: ExitFailed) -> str:
    who = "rejected by the broker" if failure.rejected else "ended"
    return f"❌ Exit {who} with {failure.shares_left} shares left: {failure.reason}"


def alert(news: Alert) -> str:
    if news.raised:
        return f"🔔 {news.text}"
    return f"✅ Over: {(news.text or news.code).removeprefix('over: ')}"


def notice(news: BrokerNotice) -> str:
    line = f"   TWS {news.code}: {news.text}"
    return f"{line}\n   → {news.mend}" if news.mend else line


def restarted(news: Restarted) -> str:
    times = "" if news.count == 1 else f", {news.count} times by now"
    return f"   {news.process} had ended and runs again{times}"


def connected_again(link: BrokerLink) -> str:
    return f"   Connected to TWS again (Port {link.port})"


def data_problem(feed: FeedState) -> str:
    return f"❌ Market data: {feed.problem}" if feed.problem else "✅ Market data is back"


def disk(news: DiskState, settings: Settings) -> str:
    return (
        f"the disk of the journals is full: {news.free_mb:,.0f} MB are free, no entries below "
        f"{settings.operation.disk_free_mb_min:g} MB; make room"
    )


def mode(latch: HaltLatch) -> str:
    if latch.mode == "ACTIVE":
        return "✅ ACTIVE: entries are allowed again"
    what = "no entries, exits go" if latch.mode == "HALTED" else "nothing is sent"
    return f"⛔ {latch.mode} ({what}): {latch.reason}"


def breached(risk: RiskState) -> str:
    return f"🚨 BREACHED: {risk.breached}" if risk.breached else "✅ No longer breached"


def order_trouble(order: OrderState) -> str:
    why = f": {order.reason}" if order.reason else ""
    return f"❌ Order {order.intent_id} {order.status}{why}"


def exit_not_needed(intent_id: str) -> str:
    """The broker takes no second sale of a group whose first one fills: as it should be."""
    return f"   Order {intent_id} was not needed: the stop at the broker sold first"


def day_summary(day: DaySummary) -> str:
    held = f"holding {day.shares} shares" if day.shares else "flat"
    line = f"📋 {day.day}: {day.entries} entries, {day.stops} stops, {day.exits} exits, {held}"
    return f"{line}; equity {usd(day.equity_usd)} ({day.return_fraction:+.2%})"


def shutdown(shares: int | None, resting_usd: float | None) -> str:
    """What the system leaves behind when it stops; `shares` is None while unknown.

    `resting_usd`: the level of the stop that rests at the broker. It is a day order.
    """
    line = "⏹️ System shutdown."
    if shares is None:
        return f"{line} The position is not known here: look in TWS"
    if shares == 0:
        return f"{line} No position"
    if resting_usd is not None:
        stay = f"{line} {shares} shares of SMH stay open: a stop at the broker sells them at"
        return f"{stay} ${resting_usd:,.2f} until today's close, and nothing protects them after it"
    stay = f"NOT PROTECTED: {shares} shares of SMH stay open"
    return f"{line} {stay}, and nothing watches their stop until the next start"
