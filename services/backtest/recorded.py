"""The market as a running system heard it, laid out as a history for a backtest. Pure.

Final closes, opening prices and official bars are the broker's; the bars in between are made of
the prices that the risk monitor judged, one bar a minute. So a backtest of the recorded days sees
what the live system saw, whatever the market did while nobody looked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from common import settings as settings_file
from common.clock import MINUTE_NS, NEW_YORK, SECOND_NS
from common.messages import (
    AccountSnapshot,
    BaselineSet,
    DailyBar,
    DailyHistory,
    DaySummary,
    OpeningPrint,
    Quote,
    Session,
    Started,
    VixLevel,
)
from common.settings import Settings
from services.backtest.decisions import Said
from services.backtest.history import History, Quotation
from services.backtest.options import Options
from services.sim_tws.market.data_files import DailyRow
from services.sim_tws.market.interface import SessionTimes
from services.sim_tws.market.session_path import PriceBar

BAR_S = 60
Marks = tuple[float, float, float, float]
FULL_DAY_S = 23_400


@dataclass
class Recording:
    """What the journals of signal_engine and risk_monitor told, by session.

    `minutes`: by minute of the session the first, highest, lowest and last mark, USD. `vix`: market
    time and level, in order.
    """

    settings: Settings
    closes: dict[date, float] = field(default_factory=dict)
    sessions: dict[date, Session] = field(default_factory=dict)
    bars: dict[date, DailyBar] = field(default_factory=dict)
    opens: dict[date, float] = field(default_factory=dict)
    minutes: dict[date, dict[int, Marks]] = field(default_factory=dict)
    vix: dict[date, list[tuple[int, float]]] = field(default_factory=dict)
    baselines: dict[date, BaselineSet] = field(default_factory=dict)
    summaries: dict[date, DaySummary] = field(default_factory=dict)
    portfolio_margin: bool = False

    def take_signal(self, said: Iterable[Said]) -> None:
        """signal_engine's stream: closes and the VIX."""
        session: Session | None = None
        for now, message in said:
            match message:
                case DailyHistory(days=days, closes_usd=closes):
                    self.closes.update(zip(days, closes, strict=True))
                case DailyBar(final=True, day=day, close_usd=close):
                    self.closes[day] = close
                case Session():
                    session = message
                case VixLevel(level=level) if session is not None:
                    if session.open_ns <= message.tick_ns < session.close_ns:
                        self.vix.setdefault(session.day, []).append((now.market_ns, level))

    def take_risk(self, said: Iterable[Said]) -> None:
        """risk_monitor's stream: prices, and what its days began and ended with."""
        session: Session | None = None
        for now, message in said:
            match message:
                case Quote(mark_usd=mark) if session is not None:
                    if session.open_ns <= now.market_ns < session.close_ns:
                        self._take_mark(session, now.market_ns, mark)
                case Session():
                    session = message
                    self.sessions[message.day] = message
                case OpeningPrint(day=day, price_usd=price):
                    self.opens[day] = price
                case DailyBar(day=day, final=final) if final or day not in self.bars:
                    self.bars[day] = message
                case BaselineSet(day=day):
                    self.baselines.setdefault(day, message)
                case DaySummary(day=day):
                    self.summaries[day] = message
                case AccountSnapshot(portfolio_margin=proven):
                    self.portfolio_margin = proven is True
                case Started(settings_json=text):
                    self.settings = settings_file.from_json(text)

    def _take_mark(self, session: Session, market_ns: int, mark: float) -> None:
        minute = (market_ns - session.open_ns) // (BAR_S * SECOND_NS)
        of_day = self.minutes.setdefault(session.day, {})
        first, high, low, _ = of_day.get(minute, (mark, mark, mark, mark))
        of_day[minute] = (first, max(high, mark), min(low, mark), mark)

    def lowest_usd(self, day: date) -> float:
        """The lowest mark that was judged; 0 without any."""
        return min((low for _, _, low, _ in self.minutes.get(day, {}).values()), default=0.0)

    @property
    def whole_days(self) -> list[date]:
        """Sessions that were followed to their end, with an official bar and prices in between."""
        return sorted(
            day
            for day in self.summaries
            if day in self.bars and day in self.sessions and day in self.minutes
        )

    @property
    def begin(self) -> date | None:
        """The first whole day that began without a position, where a backtest can begin too."""
        flat = (d for d in self.whole_days if d in self.baselines and not self.baselines[d].shares)
        return next(flat, None)

    def options(self, begin: date) -> Options:
        """The backtest that trades by the settings of the run. OptionsError where it cannot."""
        settings = self.settings
        clamped = settings.margin.check != "off" and not self.portfolio_margin
        return Options(
            first=begin,
            last=self.whole_days[-1],
            start_equity_usd=self.baselines[begin].baseline_usd,
            ema_fast=settings.strategy.ema_fast,
            ema_slow=settings.strategy.ema_slow,
            history_slow_multiple=settings.strategy.history_slow_multiple,
            leverage_base=settings.leverage.base,
            vix_below=settings.leverage.vix_below,
            vix_leverage=settings.leverage.leverage,
            stop_loss_fraction=settings.stop.loss_fraction,
            baseline=settings.stop.baseline,
            reentry=settings.entry.reentry_same_day,
            # After hours there are no bars: the close is what such a sale comes nearest to.
            bear_exit="close" if settings.exit.bear == "after_hours" else "next_open",
            interest=False,
            margin="regt" if clamped else "off",
            margin_buffer_fraction=settings.margin.buffer_fraction,
            bars="auto",
        )

    def history(self, *, fine: bool = True) -> History:
        """Every final close, and the recorded days with their bars (`fine`) or by their daily
        ones alone."""
        days = sorted(self.closes.keys() | self.bars.keys())
        entry_ns = int(self.settings.entry.minutes_before_close * MINUTE_NS)
        return History(
            sessions=tuple(self._times(day) for day in days),
            smh=tuple(self._row(number, day) for number, day in enumerate(days, start=2)),
            vix=Quotation(
                tuple(day for day in days if day in self.sessions),
                tuple(self._vix(day, entry_ns) for day in days if day in self.sessions),
            ),
            intraday={day: self._bars(day) for day in self.whole_days} if fine else {},
        )

    def _times(self, day: date) -> SessionTimes:
        """The session's hours; of days before the run a full day's, which no rule looks at."""
        told = self.sessions.get(day)
        if told is not None:
            return SessionTimes(day, told.open_ns, told.close_ns, told.early)
        opens = datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK)
        open_ns = int(opens.timestamp()) * SECOND_NS
        return SessionTimes(day, open_ns, open_ns + FULL_DAY_S * SECOND_NS, early=False)

    def _row(self, number: int, day: date) -> DailyRow:
        bar, close = self.bars.get(day), self.closes.get(day)
        if bar is None:
            assert close is not None
            return DailyRow(number, day, close, close, close, close, 0.0)
        opened, close = self.opens.get(day, bar.open_usd), close or bar.close_usd
        low, high = min(bar.low_usd, opened, close), max(bar.high_usd, opened, close)
        return DailyRow(number, day, opened, high, low, close, 0.0)

    def _vix(self, day: date, entry_before_ns: int) -> float:
        """The last level known at the entry's instant; 0 when the session had none by then."""
        entry_ns = self.sessions[day].close_ns - entry_before_ns
        known = [level for at_ns, level in self.vix.get(day, ()) if at_ns <= entry_ns]
        return known[-1] if known else 0.0

    def _bars(self, day: date) -> tuple[PriceBar, ...]:
        """The judged prices of a session, a bar for each minute that had any."""
        return tuple(
            PriceBar(minute * BAR_S, BAR_S, *marks, 0.0)
            for minute, marks in sorted(self.minutes[day].items())
        )
