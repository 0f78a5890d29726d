"""The stop, computed again: from quotes and executions, was equity at or below baseline less 2%?

Equity is cash + shares x mark. The baseline is taken at the open and, after a purchase, is the
equity just after its last execution. Between the oracle and an honest system there is a small
difference (the pieces of one purchase, rounding), so there are two verdicts: `true`, where every
honest reading must sell, and `possible`, where one may.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tests.oracle.facts import (
    ASK,
    BID,
    LAST,
    OPEN,
    SECOND_NS,
    DelayedSaid,
    ErrorSaid,
    KindSaid,
    LastSizeSaid,
    PriceSaid,
    QuotesAsked,
)
from tests.oracle.rules import SHIPPED, Rules

TOLERANCE = 0.0005  # of the baseline
AGREE_FRACTION = 0.001
JUMP_FRACTION = 0.1
PRICE_USD_MAX = 1e6
SPREAD_FRACTION_MAX = 0.001
OPEN_FRACTION = 0.02  # so far from the first mid TWS's own opening price may be a wild one
APART_NS = SECOND_NS  # two samples that confirm each other
JITTER_NS = SECOND_NS // 10  # what their ways may differ by
QUOTE_NS_MAX = 5 * SECOND_NS
"""So old a quote may be, market time."""
NO_LIVE_DATA = frozenset({354, 10089, 10168, 10186, 10197})
FIRST_MARK_NS = 5 * SECOND_NS
"""After the open, before which the broker's marks may be of before it."""
MARKS_NS = 3 * SECOND_NS
LATE_NS = 60 * SECOND_NS
TOLD_NS_MAX = SECOND_NS  # host time that word of an account may be on its way
DECIDED_NS_MAX = 8 * SECOND_NS
"""Host time that may pass from deciding on an order to its being sent, with a death between."""


@dataclass(slots=True)
class Quote:
    """The newest bid, ask and last of one connection; NaN before the first."""

    bid: float = math.nan
    ask: float = math.nan
    last: float = math.nan
    last_before: float = math.nan

    @property
    def jumped(self) -> bool:
        """So far from the print before that another one must confirm it."""
        return abs(self.last / self.last_before - 1) > JUMP_FRACTION

    @property
    def mid(self) -> float:
        """NaN unless both sides stand, uncrossed and near each other."""
        sound = 0 < self.bid <= self.ask <= self.bid * (1 + SPREAD_FRACTION_MAX)
        return (self.bid + self.ask) / 2 if sound else math.nan

    @property
    def agrees(self) -> bool:
        return abs(self.mid / self.last - 1) <= AGREE_FRACTION


@dataclass(slots=True)
class Quotes:
    """Live quotes of one symbol, per connection; delayed ticks have other types."""

    symbol: str
    quotes: dict[int, Quote] = field(default_factory=dict)
    newest: Quote = field(default_factory=Quote)
    opened_usd: float = math.nan
    sound_usd: float = math.nan
    """The newest last price that can be one, of a quarter of an hour ago where no other is told."""
    live: bool = True
    lost_ns: int = 0
    """When live data ended, market time."""
    _ours: set[tuple[int, int]] = field(default_factory=set)

    def opened(self, connection: int) -> None:
        """A server that was started again counts its connections anew: the number is another's."""
        self.quotes.pop(connection, None)
        self._ours = {key for key in self._ours if key[0] != connection}

    def asked(self, asked: QuotesAsked) -> None:
        if asked.symbol == self.symbol:
            self._ours.add((asked.connection, asked.req_id))
            self.quotes[asked.connection] = Quote()

    def kind_said(self, said: KindSaid) -> None:
        if (said.connection, said.req_id) in self._ours:
            self._turn(said.ns, live=said.live)

    def refused(self, said: ErrorSaid) -> None:
        if (said.connection, said.req_id) in self._ours and said.code in NO_LIVE_DATA:
            self._turn(said.ns, live=False)

    def delayed(self, said: DelayedSaid) -> None:
        if (said.connection, said.req_id) in self._ours and 0 < said.price < PRICE_USD_MAX:
            self.sound_usd = said.price

    def blind(self, ns: int) -> bool:
        """Live data has ended for so long that its last word is worth nothing."""
        return not self.live and ns - self.lost_ns > QUOTE_NS_MAX

    def _turn(self, ns: int, *, live: bool) -> None:
        if self.live and not live:
            self.lost_ns, self.newest = ns, Quote()
        self.live = live

    def said(self, tick: PriceSaid | LastSizeSaid) -> Quote | None:
        """The quote when it is complete: TWS tells bid, ask, then the last price or its size."""
        if (tick.connection, tick.req_id) not in self._ours:
            return None
        quote = self.quotes[tick.connection]
        complete = True
        if isinstance(tick, PriceSaid):
            complete = tick.kind == LAST
            self._take(quote, tick)
        self.newest = quote
        return quote if complete and quote.last > 0 else None

    def _take(self, quote: Quote, tick: PriceSaid) -> None:
        price = tick.price if 0 < tick.price < PRICE_USD_MAX else math.nan
        if tick.kind == BID:
            quote.bid = price
        elif tick.kind == ASK:
            quote.ask = price
        elif tick.kind == LAST:
            quote.last_before, quote.last = quote.last, price
            self.sound_usd = self.sound_usd if math.isnan(price) else price
        elif tick.kind == OPEN:
            self.opened_usd = price


@dataclass(slots=True)
class FirstMid:
    """The first mid of a session that a later one is near: it serves as the opening price where
    TWS's own is far from it."""

    usd: float = math.nan
    ns: int = 0
    borne_out: bool = False

    def take(self, mid_usd: float, ns: int) -> bool:
        """Whether it is borne out by this one, for the first time."""
        if self.borne_out:
            return False
        if not abs(mid_usd / self.usd - 1) <= OPEN_FRACTION:  # a NaN is near nothing
            self.usd, self.ns = mid_usd, ns
        self.borne_out = ns - self.ns >= APART_NS
        return self.borne_out


@dataclass(slots=True)
class Moved:
    """Money that was moved, and since when the system may know of it (host time)."""

    amount_usd: float
    host_ns: int
    told_host_ns: int | None = None

    def tell(self, host_ns: int) -> None:
        """The account is told, with it."""
        if self.told_host_ns is None and host_ns > self.host_ns:
            self.told_host_ns = host_ns

    def known(self, host_ns: int, for_ns: int = TOLD_NS_MAX) -> bool:
        return self.told_host_ns is not None and host_ns - self.told_host_ns >= for_ns


@dataclass(slots=True)
class Baseline:
    """Equity to measure from, USD, and how each sample compares with its stop.

    `usd`: just after the last piece of a purchase; `lower_usd`, `higher_usd`: after the cheapest
    and the dearest of its pieces. An honest reading lies between them. Money moved since moves all
    of them; the loss may be measured of the equity with a withdrawal in it until an account was
    told after it, and without a deposit for good.
    """

    usd: float
    lower_usd: float = math.inf
    higher_usd: float = 0.0
    moved: list[Moved] = field(default_factory=list)
    rules: Rules = SHIPPED

    def move(self, amount_usd: float, host_ns: int) -> None:
        """A deposit (+) or a withdrawal (-)."""
        self.usd += amount_usd
        self.lower_usd += amount_usd
        self.higher_usd += amount_usd
        self.moved.append(Moved(amount_usd, host_ns))

    def told(self, host_ns: int) -> None:
        """The account was told, with all that was moved."""
        for moved in self.moved:
            moved.tell(host_ns)

    def unknown_usd(self, host_ns: int) -> float:
        """Withdrawn, and perhaps not known of at this instant."""
        return sum(max(0.0, -m.amount_usd) for m in self.moved if not m.known(host_ns))

    def widen(self, equity_usd: float) -> None:
        """This equity was told while the baseline was taken."""
        self.lower_usd = min(self.lower_usd, equity_usd)
        self.higher_usd = max(self.higher_usd, equity_usd)

    def charge(self, fee_usd: float) -> None:
        """A commission of the purchase: the stop is measured after it."""
        self.usd -= fee_usd
        self.lower_usd -= fee_usd
        self.higher_usd -= fee_usd

    def least_usd(self, loss_fraction: float, tolerance: float, host_ns: int) -> float:
        """The lowest equity that an honest stop at that loss leaves."""
        usd, cap_usd = min(self.usd, self.lower_usd), self.rules.capital_usd_max
        loss_usd = loss_fraction * min(cap_usd, usd + self.unknown_usd(host_ns))
        return usd - loss_usd - tolerance * min(cap_usd, usd)

    def most_usd(self, loss_fraction: float, tolerance: float) -> float:
        """The highest one."""
        usd, cap_usd = max(self.usd, self.higher_usd), self.rules.capital_usd_max
        deposited_usd = sum(max(0.0, moved.amount_usd) for moved in self.moved)
        loss_usd = loss_fraction * min(cap_usd, usd - deposited_usd)
        return usd - loss_usd + tolerance * min(cap_usd, usd)

    def truly_broken(self, quote: Quote, cash_usd: float, shares: float, host_ns: int) -> bool:
        """Mid and last agree, and by both the loss is beyond doubt."""
        equities_usd = (cash_usd + shares * mark for mark in (quote.mid, quote.last))
        sound = quote.agrees and not quote.jumped
        return sound and self.beyond_doubt(host_ns, *equities_usd)

    def beyond_doubt(self, host_ns: int, *equities_usd: float) -> bool:
        """By each of these the loss is there."""
        least_usd = self.least_usd(self.rules.loss_fraction, TOLERANCE, host_ns)
        return all(equity_usd <= least_usd for equity_usd in equities_usd)

    def possibly_broken(self, *equities_usd: float) -> bool:
        """By one of these the loss is there, or nearly."""
        most_usd = self.most_usd(self.rules.loss_fraction, TOLERANCE)
        return any(equity_usd <= most_usd for equity_usd in equities_usd)


@dataclass(slots=True)
class Samples:
    """Beside a quote that is too wide for a mid one sample proves nothing; two that are `apart_ns`
    apart do, with none between them that denies it. A print is a sample, and so is the broker's
    word on the position's value where no print is as young."""

    apart_ns: int
    since_ns: int = 0
    """Of the first of those that say the stop is broken, one after the other; 0 when none does."""
    printed_ns: int = 0

    def printed(self, ns: int, *, broken: bool) -> bool:
        """Takes a print; whether the samples now agree that the stop is broken."""
        self.printed_ns = ns
        return self._take(ns, broken=broken)

    def told(self, ns: int, *, broken: bool) -> bool:
        """The same of the broker's own word."""
        if ns - self.printed_ns < APART_NS + JITTER_NS:
            return False
        return self._take(ns, broken=broken)

    def denied(self) -> None:
        """There is a mid to judge by."""
        self.since_ns = 0

    def _take(self, ns: int, *, broken: bool) -> bool:
        if not broken:
            self.since_ns = 0
        else:
            self.since_ns = self.since_ns or ns
        return broken and ns - self.since_ns >= self.apart_ns
