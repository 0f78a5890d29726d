"""The one table of codes: complete for the known traps, honest about the rest."""

from __future__ import annotations

import pytest

from common.tws import codes

TRAPS = (
    103, 104, 105, 110, 161, 200, 201, 202, 203, 321, 326, 354, 399, 404, 434, 481, 1100, 1101,
    1102, 1300, 2100, 2101, 2102, 2103, 2104, 2105, 2106, 2107, 2108, 2109, 2110, 2119, 2158,
    10089, 10147, 10148, 10167, 10168, 10197, 10224, 10326, 10349,
)  # fmt: skip


@pytest.mark.parametrize("code", TRAPS)
def test_known_traps_have_a_meaning(code: int) -> None:
    assert codes.look_up(code).kind != "unknown"


def test_an_unknown_code_is_shown_and_not_guessed() -> None:
    meaning = codes.look_up(31337)
    assert meaning.kind == "unknown"
    assert "31337" in meaning.text


def test_codes_of_a_live_order_are_no_refusal() -> None:
    """The client library calls an order cancelled on these; TWS keeps it."""
    told = (103, 104, 105, 161, 202, 399, 404, 481, 10147, 10148, 10326, 10349)
    for code in (*told, *range(2100, 2200)):
        assert codes.look_up(code).kind != "reject"


def test_what_makes_an_order_doubtful_has_the_books_compared() -> None:
    for code in (103, 104, 105, 161, 481, 2102, 10147, 10148, 10326):
        assert codes.look_up(code).compare


def test_read_only_is_told_from_other_invalid_requests() -> None:
    cause = "Error validating request.-'b7' : cause - "
    assert codes.is_read_only(321, f"{cause}The API interface is currently in Read-Only mode.")
    assert not codes.is_read_only(321, f"{cause}Missing order exchange.")
