"""The grid of a sweep: what varies, what does not, and every cell's options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, isfinite, prod

import msgspec
from msgspec.structs import replace

from services.backtest.options import Options, OptionsError

CELLS_MAX = 1_000_000
RANGE_DECIMALS = 10  # 1 + 3 x 0.1 is 1.3, not the float beside it

Leverages = tuple[float, ...]
"""A table by VIX: the leverage above all levels, then below each level from the highest down."""

AXES = ("leverage", "slippage_bp", "stop_loss_fraction", "ema_slow", "ema_fast")
"""From the one that changes slowest among the cells to the one that changes fastest."""


@dataclass(frozen=True)
class Grid:
    """Every combination of the axes' values; all else is as in `base`. OptionsError where empty,
    too large or beyond a setting's bounds.

    `vix_below`: the levels of the leverage tables, rising; a table with one leverage has none.
    """

    base: Options
    ema_fast: tuple[int, ...]
    ema_slow: tuple[int, ...]
    stop_loss_fraction: tuple[float, ...]
    slippage_bp: tuple[float, ...]
    leverage: tuple[Leverages, ...]
    vix_below: tuple[float, ...]

    def __post_init__(self) -> None:
        for axis in AXES:
            values = getattr(self, axis)
            if not values:
                raise OptionsError(f"{axis}: no value, so the grid is empty")
            twice = [value for at, value in enumerate(values) if value in values[:at]]
            if twice:
                raise OptionsError(f"{axis}: {shown(axis, twice[0])} is there twice")
        if len(self) > CELLS_MAX:
            sizes = " x ".join(str(size) for size in self.shape)
            raise OptionsError(f"{sizes} are {len(self):,} cells; {CELLS_MAX:,} at most")
        if max(self.ema_fast) >= min(self.ema_slow):
            raise OptionsError(
                f"fast {max(self.ema_fast)} is not smaller than slow {min(self.ema_slow)}: "
                "let the fast spans end below the slow ones"
            )
        for axis, values in self.axes():
            for at in range(len(values)):
                _check(self.options(tuple(at if axis == other else 0 for other in AXES)))

    def __len__(self) -> int:
        return prod(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Values on each of AXES; cells are numbered in this order, the last axis fastest."""
        return tuple(len(values) for _, values in self.axes())

    def axes(self) -> Iterator[tuple[str, Sequence[object]]]:
        """Name and values of each of AXES."""
        return ((axis, getattr(self, axis)) for axis in AXES)

    def options(self, at: Sequence[int]) -> Options:
        """The options of the cell at these places on AXES."""
        table, slippage_bp, loss_fraction, slow, fast = at
        levels, leverages = self.tiers(self.leverage[table])
        return replace(
            self.base,
            leverage_base=self.leverage[table][0],
            vix_below=levels,
            vix_leverage=leverages,
            slippage_bp=self.slippage_bp[slippage_bp],
            stop_loss_fraction=self.stop_loss_fraction[loss_fraction],
            ema_slow=self.ema_slow[slow],
            ema_fast=self.ema_fast[fast],
        )

    def tiers(self, table: Leverages) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """VIX levels, rising, and the leverage below each."""
        above = table[1:]
        if above and len(above) != len(self.vix_below):
            raise OptionsError(
                f"leverage {shown('leverage', table)}: one, or one more than the "
                f"{len(self.vix_below)} VIX levels {', '.join(f'{v:g}' for v in self.vix_below)}"
            )
        return (self.vix_below, above[::-1]) if above else ((), ())


def document(base: Options) -> Grid:
    """The owner's own choice as a grid of one cell; all else, slippage too, as in `base`."""
    own = Options()
    return Grid(
        base,
        ema_fast=(own.ema_fast,),
        ema_slow=(own.ema_slow,),
        stop_loss_fraction=(own.stop_loss_fraction,),
        slippage_bp=(base.slippage_bp,),
        leverage=((own.leverage_base, *own.vix_leverage[::-1]),),
        vix_below=own.vix_below,
    )


def shown(axis: str, value: object) -> str:
    """A value of an axis as a person types it."""
    if axis == "leverage":
        assert isinstance(value, tuple)
        return "/".join(f"{leverage:g}" for leverage in value)
    if axis == "stop_loss_fraction":
        assert isinstance(value, float)
        return f"{value * 100.0:g}"
    return f"{value:g}"


def _check(options: Options) -> None:
    """OptionsError where a value lies beyond its bounds."""
    try:
        msgspec.convert(msgspec.to_builtins(options), Options)
    except msgspec.ValidationError as error:
        raise OptionsError(str(error)) from error
    options.settings()


# --- as typed ------------------------------------------------------------------------------------


def numbers(name: str, text: str) -> tuple[float, ...]:
    """The numbers of a list such as `1,2.5` or `10:50:5,60`, a range with both its ends."""
    return tuple(value for part in _parts(text) for value in _range(name, part))


def spans(name: str, text: str) -> tuple[int, ...]:
    """The same, whole numbers only."""
    values = numbers(name, text)
    broken = next((value for value in values if value != int(value)), None)
    if broken is not None:
        raise OptionsError(f"{name} {text}: {broken:g} is no whole number of closes")
    return tuple(int(value) for value in values)


def tables(name: str, text: str) -> tuple[Leverages, ...]:
    """Leverage tables such as `3/3.25/3.5/3.75,2`; a range gives flat ones."""
    found: list[Leverages] = []
    for part in _parts(text):
        if "/" in part:
            found.append(tuple(_number(name, part, leverage) for leverage in part.split("/")))
        else:
            found += [(leverage,) for leverage in _range(name, part)]
    return tuple(found)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _range(name: str, part: str) -> Iterator[float]:
    ends = [_number(name, part, end) for end in part.split(":")]
    if len(ends) == 1:
        yield ends[0]
        return
    if len(ends) != 3 or ends[2] <= 0.0 or ends[1] < ends[0]:
        raise OptionsError(f"{name} {part}: a range is FIRST:LAST:STEP, rising, as in 10:50:5")
    first, last, step = ends
    steps = floor(round((last - first) / step, RANGE_DECIMALS))
    if steps >= CELLS_MAX:
        raise OptionsError(f"{name} {part}: {steps + 1:,} values; {CELLS_MAX:,} at most")
    for at in range(steps + 1):
        yield round(first + at * step, RANGE_DECIMALS)


def _number(name: str, part: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise OptionsError(f"{name} {part}: '{text}' is no number")
    return value
