"""Answers what clients ask about money and positions, and keeps them told.

Account values, portfolio and summary show the published valuation: refreshed every three minutes
of market time or when a position changes. PnL follows the true marks about once a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common.clock import MINUTE_NS, SECOND_NS
from services.sim_tws import account_values, replies, requests
from services.sim_tws.account import Account, Valuation
from services.sim_tws.account_values import Row
from services.sim_tws.broker import Broker
from services.sim_tws.market_time import new_york
from services.sim_tws.session import Session
from services.sim_tws.subscriptions import AccountRows, PnlStream

REFRESH_NS = 3 * MINUTE_NS
PNL_NS = SECOND_NS
SLOW_PNL_NS = MINUTE_NS
FOREIGN_BASE_RATE = 0.9  # units of a base currency other than USD for one USD

SendRow = Callable[[Row], bytes]


class AccountDesk:
    """Account requests of all sessions, in front of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._published: dict[str, Valuation] = {}
        self._next_refresh_ns = 0
        self._next_pnl_ns = 0
        self._next_slow_pnl_ns = 0
        self._position_changed = False
        self.refresh()

    # Requests

    def updates(self, session: Session, request: requests.AccountUpdates) -> None:
        subscriptions = session.subscriptions
        if not request.subscribe:
            subscriptions.account_updates = None
            return
        account = self._account(request.account)
        if account is None:
            session.error(replies.NO_ID, 321, _unknown_account(request.account))
            return
        subscriptions.account_updates = AccountRows(account.account_id)
        self._send_updates(session, subscriptions.account_updates, first=True)

    def updates_multi(self, session: Session, request: requests.AccountUpdatesMulti) -> None:
        account = self._known(session, request.req_id, request.account)
        if account is not None:
            sub = AccountRows(account.account_id, model=request.model)
            session.subscriptions.account_multi[request.req_id] = sub
            self._send_multi(session, request.req_id, sub)

    def summary(self, session: Session, request: requests.AccountSummary) -> None:
        running = session.subscriptions.summaries
        if request.req_id in running:
            session.error(request.req_id, 322, "Error processing request.-'bN' : cause - Duplicate "
                          "ticker id")  # fmt: skip
            return
        if len(running) >= 2:
            session.error(request.req_id, 322, "Error processing request.-'bN' : cause - Maximum "
                          "number of account summary requests exceeded")  # fmt: skip
            return
        sub = AccountRows("", tags=request.tags)
        running[request.req_id] = sub
        self._send_summary(session, request.req_id, sub)
        session.send(replies.account_summary_end(request.req_id))

    def positions(self, session: Session, _request: requests.Positions) -> None:
        session.subscriptions.positions = True
        self._send_positions(session)
        session.send(replies.position_end())

    def positions_multi(self, session: Session, request: requests.PositionsMulti) -> None:
        account = self._known(session, request.req_id, request.account)
        if account is not None:
            sub = AccountRows(account.account_id, model=request.model)
            session.subscriptions.positions_multi[request.req_id] = sub
            self._send_positions_multi(session, request.req_id, sub)
            session.send(replies.position_multi_end(request.req_id))

    def pnl(self, session: Session, request: requests.Pnl) -> None:
        account = self._known(session, request.req_id, request.account)
        if account is not None:
            session.subscriptions.pnl[request.req_id] = PnlStream(account.account_id)
            session.send(replies.pnl_unready(request.req_id))

    def pnl_single(self, session: Session, request: requests.PnlSingle) -> None:
        account = self._known(session, request.req_id, request.account)
        if account is not None:
            stream = PnlStream(account.account_id, request.con_id)
            session.subscriptions.pnl_single[request.req_id] = stream

    # Publication

    def position_changed(self) -> None:
        self._position_changed = True

    def say_unready(self, sessions: Iterable[Session]) -> None:
        """During a server reset TWS says that its account figures are not to be relied on."""
        for session in sessions:
            sub = session.subscriptions.account_updates
            if sub is not None:
                sub.rows["AccountReady", ""] = "false"
                session.send(replies.account_value("AccountReady", "false", "", sub.account_id))

    def refresh(self) -> None:
        """Takes the valuation that is shown until the next refresh."""
        now_ns = self._broker.now_ns
        smh_usd = self._broker.tape.mark(now_ns)
        for account in self._broker.books.accounts:
            self._published[account.account_id] = account.valuation(smh_usd, now_ns)
        self._next_refresh_ns = now_ns - now_ns % REFRESH_NS + REFRESH_NS

    def publish(self, sessions: Iterable[Session]) -> None:
        """Refreshes what is due; called after every advance of market time."""
        if not self._broker.link_up:
            return
        changed, self._position_changed = self._position_changed, False
        if changed or self._broker.now_ns >= self._next_refresh_ns:
            self.refresh()
            for session in sessions:
                self._send_refresh(session, changed)

    def publish_pnl(self, sessions: Iterable[Session]) -> None:
        """The true profit and loss, once a second of market time at most."""
        now_ns = self._broker.now_ns
        if now_ns < self._next_pnl_ns:
            return
        self._next_pnl_ns = now_ns - now_ns % PNL_NS + PNL_NS
        account_due = not self._broker.switches.slow_pnl or now_ns >= self._next_slow_pnl_ns
        if account_due:
            self._next_slow_pnl_ns = now_ns - now_ns % SLOW_PNL_NS + SLOW_PNL_NS
        smh_usd = self._broker.tape.mark(now_ns)
        for session in sessions:
            if account_due:
                for req_id, stream in session.subscriptions.pnl.items():
                    self._send_pnl(session, req_id, stream, smh_usd)
            for req_id, stream in session.subscriptions.pnl_single.items():
                self._send_pnl_single(session, req_id, stream, smh_usd)

    def _send_refresh(self, session: Session, position_changed: bool) -> None:
        subscriptions = session.subscriptions
        if position_changed and subscriptions.positions:
            self._send_positions(session)
        if subscriptions.account_updates is not None:
            self._send_updates(session, subscriptions.account_updates, first=False)
        for req_id, sub in subscriptions.account_multi.items():
            self._send_multi(session, req_id, sub)
        for req_id, sub in subscriptions.summaries.items():
            self._send_summary(session, req_id, sub)
        if position_changed:
            for req_id, sub in subscriptions.positions_multi.items():
                self._send_positions_multi(session, req_id, sub)

    # Rows

    def _rows(self, account: Account) -> list[Row]:
        usd_in_base = 1.0 if account.base_currency == "USD" else FOREIGN_BASE_RATE
        found = account_values.rows(
            self._published[account.account_id],
            account.account_id,
            account.margin_kind,
            account.base_currency,
            usd_in_base,
        )
        prefixed = self._broker.switches.ledger_keys
        return account_values.with_ledger_prefix(found) if prefixed else found

    def _send_changes(
        self, session: Session, sub: AccountRows, found: list[Row], encode: SendRow
    ) -> None:
        """After the first download only rows that changed are sent."""
        for row in found:
            key, value, currency = row
            if sub.rows.get((key, currency)) != value:
                sub.rows[key, currency] = value
                session.send(encode(row))

    def _send_updates(self, session: Session, sub: AccountRows, *, first: bool) -> None:
        """After the first download only what changed, and message 54 no more."""
        account = self._account(sub.account_id)
        if account is None:
            return
        account_id = account.account_id
        self._send_changes(
            session, sub, self._rows(account),
            lambda row: replies.account_value(*row, account_id),
        )  # fmt: skip
        for item in self._published[account_id].holdings:
            shares = replies.size(item.shares, session.version)
            session.send(
                replies.portfolio_value(
                    item.instrument,
                    shares,
                    item.price_usd,
                    round(item.average_usd, 6),
                    item.realized_usd,
                    account_id,
                )
            )
        stamp = f"{new_york(self._broker.now_ns):%H:%M}"
        session.send(replies.account_update_time(stamp))
        if first or self._broker.switches.refresh_ends:
            session.send(replies.account_download_end(account_id))

    def _send_multi(self, session: Session, req_id: int, sub: AccountRows) -> None:
        account = self._account(sub.account_id)
        if account is None:
            return
        self._send_changes(
            session, sub, self._rows(account),
            lambda row: replies.account_update_multi(req_id, sub.account_id, sub.model, *row),
        )  # fmt: skip
        session.send(replies.account_update_multi_end(req_id))

    def _send_summary(self, session: Session, req_id: int, sub: AccountRows) -> None:
        for account in self._broker.seen.accounts:
            account_id = account.account_id
            shown = AccountRows(account_id, rows=sub.rows)
            found = [
                (f"{account_id}\n{key}", value, currency)
                for key, value, currency in account_values.summary_rows(
                    self._rows(account), sub.tags
                )
            ]
            self._send_changes(
                session, shown, found,
                lambda row, name=account_id: replies.account_summary(  # type: ignore[misc] # default binds the loop value
                    req_id, name, row[0].partition("\n")[2], row[1], row[2]
                ),
            )  # fmt: skip

    def _send_positions(self, session: Session) -> None:
        for account in self._broker.seen.accounts:
            for item in account.positions.values():
                if item.shares or item.traded_usd:
                    shares = replies.size(item.shares, session.version)
                    average = round(item.average_usd, 6)
                    session.send(
                        replies.position(account.account_id, item.instrument, shares, average)
                    )

    def _send_positions_multi(self, session: Session, req_id: int, sub: AccountRows) -> None:
        account = self._account(sub.account_id)
        for item in account.positions.values() if account is not None else ():
            if item.shares or item.traded_usd:
                shares = replies.size(item.shares, session.version)
                average = round(item.average_usd, 6)
                session.send(
                    replies.position_multi(
                        req_id, sub.account_id, item.instrument, shares, average, sub.model
                    )
                )

    def _send_pnl(self, session: Session, req_id: int, stream: PnlStream, smh_usd: float) -> None:
        account = self._account(stream.account_id)
        if account is None:
            return
        held = account.positions.values()
        session.send(
            replies.pnl(
                req_id,
                round(sum(p.daily_usd(smh_usd) for p in held), 4),
                round(sum(p.unrealized_usd(smh_usd) for p in held), 4),
                round(sum(p.realized_usd for p in held), 4),
            )
        )

    def _send_pnl_single(
        self, session: Session, req_id: int, stream: PnlStream, smh_usd: float
    ) -> None:
        account = self._account(stream.account_id)
        item = account.positions.get(stream.con_id) if account is not None else None
        if item is None or not (item.shares or item.traded_usd):
            return
        session.send(
            replies.pnl_single(
                req_id,
                replies.size(item.shares, session.version),
                round(item.daily_usd(smh_usd), 4),
                round(item.unrealized_usd(smh_usd), 4),
                round(item.realized_usd, 4),
                round(item.shares * item.mark(smh_usd), 4),
            )
        )

    def _account(self, account_id: str) -> Account | None:
        """By id; an empty id means the only account."""
        accounts = self._broker.seen.accounts
        if not account_id:
            return accounts[0]
        return next((a for a in accounts if a.account_id == account_id), None)

    def _known(self, session: Session, req_id: int, account_id: str) -> Account | None:
        account = self._account(account_id)
        if account is None:
            session.error(req_id, 321, _unknown_account(account_id))
        return account


def _unknown_account(account_id: str) -> str:
    return f"Error validating request.-'bN' : cause - Invalid account code '{account_id[:20]}'."
