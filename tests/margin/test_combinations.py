"""Every combination of our margin settings with IB's two kinds of account comes out as reckoned.

The figures here are worked out anew, from the rules as the specification states them.
"""

from __future__ import annotations

import math

import pytest

from tests.margin import table
from tests.margin.combinations import ACCOUNTS, Case, Outcome, cases, played

IB_MINIMUM_USD = 100_000.0
FEE_PER_SHARE_USD = 0.005


def accepted(case: Case, found: Outcome, shares: int) -> bool:
    """IB's own rule: portfolio margin has a minimum, and equity must meet the initial margin."""
    equity_usd = case.equity_usd - shares * (found.ask_usd - found.mark_usd)
    if case.kind == "portfolio" and equity_usd < IB_MINIMUM_USD:
        return False
    return equity_usd >= case.rate * shares * found.mark_usd


def expected(case: Case, found: Outcome) -> tuple[int, int]:
    """Shares wanted by the table, and shares that should have been bought (0: none)."""
    wanted = math.floor(case.equity_usd * case.tier / found.mark_usd)
    if case.check == "off":
        return wanted, wanted if accepted(case, found, wanted) else 0
    sizes = [int(wanted * (15 / 16) ** k) for k in range(13)]
    fitting = [size for size in sizes if accepted(case, found, size)]
    if not fitting:
        return wanted, 0
    asked = fitting[0]
    fee_usd = max(1.0, FEE_PER_SHARE_USD * asked)
    free_usd = case.equity_usd - fee_usd - 0.05 * case.equity_usd
    shares = min(asked, math.floor(free_usd / (case.rate * found.mark_usd)))
    if case.said == "regt" or (case.said == "auto" and case.kind == "regt"):
        shares = min(shares, math.floor(2.0 * case.equity_usd / found.mark_usd))
        shares = min(shares, math.floor(1.996 * case.equity_usd / found.mark_usd))
    return wanted, 0 if case.check == "refuse" and shares < wanted else shares


@pytest.mark.parametrize("check", ["clamp", "refuse", "off"])
@pytest.mark.parametrize(("kind", "rate"), ACCOUNTS)
def test_each_entry_is_sized_refused_told_and_liquidated_as_reckoned(
    check: str, kind: str, rate: float
) -> None:
    played_cases = [c for c in cases() if (c.check, c.kind, c.rate) == (check, kind, rate)]
    assert len(played_cases) == 3 * 4 * 4
    for case in played_cases:
        found = played(case)
        wanted, shares = expected(case, found)
        assert found.shares == shares, f"{case}: {found}"
        if not shares:
            assert found.refused, case
        if check != "off" and 0 < shares < wanted:
            assert f"= {shares * found.mark_usd / case.equity_usd:.2f}x of {case.tier:g}x" in (
                found.told
            ), found.told
        _liquidation(case, found)


def _liquidation(case: Case, found: Outcome) -> None:
    """SMA after the fill, IB's check of it, and what we do when it sells."""
    fee_usd = max(1.0, FEE_PER_SHARE_USD * found.shares) if found.shares else 0.0
    sma_usd = case.equity_usd - 0.5 * found.shares * found.fill_usd - fee_usd
    assert found.sma_usd == pytest.approx(sma_usd, abs=0.02), case
    sold = case.kind == "regt" and sma_usd < 0
    assert bool(found.liquidated) == sold, f"{case}: {found}"
    assert (found.mode == "HALTED", found.paged) == (sold, sold), f"{case}: {found}"
    if found.shares:
        price = -found.cash_usd / (found.shares * (1.0 - case.rate))
        shown = found.liquidation_price_usd
        assert (shown or 0.0) == pytest.approx(max(0.0, price), abs=0.02), f"{case}: {found}"


def test_a_clamped_entry_is_never_liquidated_unless_the_settings_deny_the_account() -> None:
    """`margin.account = portfolio` on a Reg T account is the one way to mislead the rule."""
    for case in cases():
        if case.check != "off" and not (case.kind == "regt" and case.said == "portfolio"):
            assert not played(case).liquidated, case


def test_the_lines_a_person_reads_carry_the_figures() -> None:
    stressed = played(Case("portfolio", 0.30, "auto", "clamp", 1_000_000.0, 3.25))
    for line in (stressed.told, stressed.ready):
        assert "what-if of " in line
        assert "initial margin $9" in line
        assert "of equity with loan $999," in line
        assert "less 5% buffer ($50,000) allows" in line
        assert "= 3.17x of 3.25x" in line
    regt = played(Case("regt", 0.25, "auto", "clamp", 1_000_000.0, 3.75))
    for line in (regt.told, regt.ready):
        assert "not proven portfolio margin, so SMA must stay above $0" in line
        assert "SMA $1,000,000 now, about $2,0" in line
        assert "= 2.00x of 3.75x" in line
    refused = played(Case("regt", 0.25, "auto", "refuse", 1_000_000.0, 3.0))
    assert refused.refused.startswith("margin allows 2.00x of 3x: not proven portfolio margin")
    small = played(Case("portfolio", 0.15, "auto", "clamp", 90_000.0, 3.0))
    assert "BELOW THE MINIMUM EQUITY OF [100000.00 USD] FOR PORTFOLIO MARGIN" in small.refused


def test_the_page_holds_what_the_combinations_come_to() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.page(), (
        "run python -m tests.margin.table"
    )
