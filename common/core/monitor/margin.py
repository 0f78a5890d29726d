"""The margin rule before an entry: how many shares fit, and the line a person reads about it.

Two limits, the smaller counts. What the broker's what-if leaves of equity with loan value, less a
buffer. And for an account that is not proven portfolio margin twice the equity, and no more than
its SMA pays for: IB's check at the end of the day sells what is above, and no what-if shows it.
"""

from __future__ import annotations

from msgspec import Struct

from common.core import rules
from common.core.monitor.state import State
from common.messages import MarginPreview

REGT_INITIAL_FRACTION = 0.5
"""Reg T: half of a purchase is deposited (12 CFR 220.12), which the end-of-day SMA check counts."""

SMA_ROOM_FRACTION = 0.002
"""Of the SMA, left for what a market order costs above the price it is sized at, and commission: IB
sells at the day's end when the SMA is below 0, if only by a dollar, and that halts."""

REGT_BUYING_POWER = (1.0 - SMA_ROOM_FRACTION) / REGT_INITIAL_FRACTION
"""USD of stock that a USD of SMA may buy."""

SMALLER_FRACTION = 15 / 16
"""A size that the broker's what-if rejects is asked about again by so much smaller."""

PRICE_DRIFT_FRACTION = 0.01
"""By so much a size may grow after it was asked about, since the price it is made with falls."""

REJECTIONS_MAX = 12
"""So often; by then it is less than half of the size."""


class Room(Struct):
    """The most shares that one limit allows, and its figures in words."""

    shares: int
    why: str


def previewed_shares(state: State, wanted: int) -> int:
    """The size to ask the broker about: what is wanted, smaller for each time it was rejected."""
    times = min(state.preview_rejections, REJECTIONS_MAX)
    return max(1, int(wanted * SMALLER_FRACTION**times))


def ask_smaller(state: State) -> bool:
    """Whether the what-if came back rejected, and a smaller one is worth asking for at once."""
    preview = state.preview
    rejected = preview is not None and preview.rejected
    return rejected and state.preview_rejections <= REJECTIONS_MAX


def outgrown(state: State, wanted: int) -> bool:
    """Whether more is wanted now than the what-if was about: another tier of the VIX, another
    equity. What the price moves meanwhile is less."""
    preview = state.preview
    if preview is None or preview.problem or state.preview_rejections:
        return False
    return wanted > preview.shares * (1.0 + PRICE_DRIFT_FRACTION)


def problem(state: State, preview: MarginPreview) -> str:
    """Why this what-if allows no entry, whatever its margin: it failed, or it shows that money has
    left since the account was told, which the size would not know; "" when it serves."""
    account = state.account
    if preview.problem or account is None:
        return preview.problem
    left_usd = preview.equity_with_loan_after_usd + preview.commission_usd
    gone_usd = account.equity_with_loan_usd - left_usd
    most_usd = state.settings.stop.flow_fraction_max * abs(account.net_liquidation_usd)
    if preview.equity_with_loan_after_usd <= 0.0 or gone_usd <= most_usd:
        return ""
    return (
        f"the what-if counts equity with loan ${left_usd:,.0f}, the account said "
        f"${account.equity_with_loan_usd:,.0f}: waiting for its next report"
    )


def proven(state: State) -> bool:
    """Whether the account is portfolio margin for certain, or because the settings say so."""
    said, account = state.settings.margin.account, state.account
    known = account is not None and account.portfolio_margin is True
    return said == "portfolio" or (said == "auto" and known)


def unchecked(state: State) -> str:
    """What is said where the settings leave every size alone."""
    said = "NOT CHECKED (margin.check is off)"
    if proven(state):
        return said
    return f"{said}, not proven portfolio margin: IB sells above 2x at the day's end"


def room(state: State, preview: MarginPreview, wanted: int, equity_usd: float) -> Room:
    """The limit that binds, at most `wanted` shares; its words are the same when all of them fit.

    `preview` must hold figures, and account, quote and target must be known.
    """
    found = [_by_what_if(state, preview, wanted, equity_usd)]
    if not proven(state):
        found += _regt(state, preview, equity_usd)
    tightest = min(found, key=lambda one: one.shares)
    return Room(min(wanted, tightest.shares), tightest.why)


def _by_what_if(state: State, preview: MarginPreview, wanted: int, equity_usd: float) -> Room:
    fraction = state.settings.margin.buffer_fraction
    buffer_usd = fraction * equity_usd
    shares = rules.margin_shares_max(
        max(1, preview.shares),
        preview.init_before_usd,
        preview.init_after_usd,
        preview.equity_with_loan_after_usd,
        buffer_usd,
    )
    # The price moved a little since it was asked: what fitted then in full still does.
    whole = (
        shares >= preview.shares and not state.preview_rejections and not outgrown(state, wanted)
    )
    shares = max(shares, wanted) if whole else shares
    why = (
        f"what-if of {preview.shares:,} shares: initial margin ${preview.init_after_usd:,.0f} of "
        f"equity with loan ${preview.equity_with_loan_after_usd:,.0f} less {fraction:.0%} buffer "
        f"(${buffer_usd:,.0f}) allows {_sized(state, shares, equity_usd)}"
    )
    if state.preview_rejections:
        why += f"; larger what-ifs rejected: {state.preview_rejections}"
    return Room(shares, why)


def _regt(state: State, preview: MarginPreview, equity_usd: float) -> list[Room]:
    """Reg T's two limits, with the SMA that a fill of what they allow would leave."""
    quote, account, settings = state.quote, state.account, state.settings
    assert quote is not None
    assert account is not None
    most = settings.margin.regt_leverage_max
    shares = rules.shares_for(equity_usd, most, quote.mark_usd)
    why = (
        f"not proven portfolio margin, so at most {most:.2f}x: {_sized(state, shares, equity_usd)}"
    )
    if account.sma_usd is None:
        return [Room(shares, f"{why}; the broker tells no SMA")]
    sma_usd = account.sma_usd
    by_sma = rules.shares_for(sma_usd, REGT_BUYING_POWER, quote.mark_usd)
    half_usd = REGT_INITIAL_FRACTION * min(shares, by_sma) * quote.mark_usd
    paid_usd = half_usd + preview.commission_usd
    after = f"SMA ${sma_usd:,.0f} now, about ${sma_usd - paid_usd:,.0f} after the fill"
    return [
        Room(shares, f"{why}; {after}"),
        Room(
            by_sma,
            f"not proven portfolio margin, so SMA must stay above $0 for IB's end-of-day check: "
            f"{after}, for {_sized(state, by_sma, equity_usd)}",
        ),
    ]


def _sized(state: State, shares: int, equity_usd: float) -> str:
    """A size in shares and as leverage, beside the table's."""
    quote, target = state.quote, state.target
    assert quote is not None
    assert target is not None
    leverage = shares * quote.mark_usd / equity_usd if equity_usd > 0 else 0.0
    return f"{shares:,} shares = {leverage:.2f}x of {target.leverage:g}x"
