"""How this TWS is told to misbehave: plain switches, read where the behaviour lives.

`faults.py` names them for people; nothing here acts by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Switches:
    """All off is a TWS at its best. Durations are host seconds unless the name says otherwise."""

    # Connection
    ids_taken_until_host_ns: int = 0  # until then every client id counts as in use (326)
    frozen: bool = False
    slow_s: float = 0.0
    withheld: set[int] = field(default_factory=set)  # message numbers never sent
    delayed_s: dict[int, float] = field(default_factory=dict)  # message number -> lateness
    duplicate_status: bool = False
    reorder_status: bool = False
    pace_requests: bool = False
    time_skew_s: int = 0
    time_spacing_s: float = 4.0  # a question after the time so soon after the last stays unanswered
    time_spacing_shared: bool = False  # whoever asked last
    # Orders
    reject_code: int = 0
    reject_text: str = ""
    rejects_left: int = 0
    notice_code: int = 0  # told with each new order, which works on
    notice_text: str = ""
    read_only: bool = False
    reject_outside_hours: bool = False
    lose_orders: int = 0
    deactivate_orders: int = 0
    unnumbered_orders: bool = False
    refuse_group_joins: bool = False
    hold_orders: int = 0
    cancel_by_anyone: bool = True
    own_executions_only: bool = False
    fill_beats_cancel: bool = False
    early_what_if: bool = False
    push_open_orders: bool = False
    # Data
    live_data: bool = True
    delayed_data: bool = True
    refused_as_not_enabled: bool = False
    part_permitted: bool = False
    watchlist: bool = False
    competing_session: bool = False
    quotes_frozen: bool = False
    bad_ticks_left: int = 0
    bad_tick: float = -1.0
    ambiguous_contract: bool = False
    history_error: str = ""
    # Account
    ledger_keys: bool = False
    slow_pnl: bool = False
    refresh_ends: bool = False
