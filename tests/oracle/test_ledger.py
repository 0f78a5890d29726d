"""The oracle's ledger: what a split makes of whole shares and of parts beside them."""

from __future__ import annotations

import pytest

from tests.oracle.facts import PositionSaid, Split
from tests.oracle.ledger import Ledger


@pytest.mark.parametrize(
    ("held", "ratio", "whole"),
    [(1000.999, 2.0, 2001), (0.999, 3.0, 2), (1000.4, 2.0, 2000), (9, 0.5, 4)],
)
def test_a_split_makes_whole_shares_of_parts(held: float, ratio: float, whole: int) -> None:
    ledger = Ledger("SMH")
    ledger.position_said(PositionSaid(1, 1, 1, 1, "DU1234567", "SMH", held))
    ledger.split(Split(1, 1, 0, 0, "SMH", ratio))
    assert ledger.shares == whole
