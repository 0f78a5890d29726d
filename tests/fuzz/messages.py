"""Valid messages drawn from their types: every field within the bounds that the type declares."""

from __future__ import annotations

import datetime
import random
from typing import Any

import msgspec
from msgspec import inspect

from common import wire
from common.messages import ANSWERS, COMMANDS, FACTS, Message

Kind = type[Message]
WORDS = ("", "a", "SMH", "20260303-ENTRY-1", "20260303-EXIT-1", "risk_monitor", "market_feed", "é")


def drawn(rng: random.Random, kind: Kind) -> Any:
    """A valid message of that type."""
    value = _value(rng, inspect.type_info(kind))
    return msgspec.convert(value, kind)


def example(rng: random.Random, kind: Kind) -> list[Any]:
    """A valid envelope around a message of that type, as MessagePack holds it."""
    return [
        wire.WIRE_VERSION, "risk_monitor", rng.randrange(9), rng.randrange(1, 99), 0, 7,
        _value(rng, inspect.type_info(kind)),
    ]  # fmt: skip


SPOKEN: tuple[Kind, ...] = (*FACTS, *COMMANDS, *ANSWERS)


def _value(rng: random.Random, kind: Any) -> Any:  # noqa: C901 - one line a kind of type: a table
    match kind:
        case inspect.StructType(fields=fields, tag=tag):
            values = [_value(rng, member.type) for member in fields]
            return [tag, *values] if tag is not None else values
        case inspect.UnionType(types=types):
            return _value(rng, rng.choice(types))
        case inspect.NoneType():
            return None
        case inspect.BoolType():
            return rng.random() < 0.5
        case inspect.LiteralType(values=values):
            return rng.choice(values)
        case inspect.IntType():
            return _whole(rng, kind)
        case inspect.FloatType():
            return _amount(rng, kind)
        case inspect.StrType(pattern=pattern, max_length=length):
            if pattern:
                return f"20260303-{rng.choice(('ENTRY', 'EXIT'))}-{rng.randrange(1, 5)}"
            text = rng.choice(WORDS) if rng.random() < 0.95 else "x" * (length or 40)
            return text[:length]
        case inspect.DateType():
            return (
                datetime.date(2026, 3, 3) + datetime.timedelta(rng.randrange(-3, 4))
            ).isoformat()
        case inspect.VarTupleType(item_type=item):
            return [_value(rng, item) for _ in range(rng.choice((0, 1, 2, 3)))]
        case inspect.TupleType(item_types=items):
            return [_value(rng, item) for item in items]
        case _:
            raise TypeError(f"no example of {kind}")


def _whole(rng: random.Random, kind: inspect.IntType) -> int:
    least = kind.ge if kind.ge is not None else (kind.gt + 1 if kind.gt is not None else -(2**40))
    most = kind.le if kind.le is not None else 2**40
    near = max(least, min(most, rng.choice((0, 1, 100, 7500, 1_772_548_200 * 10**9))))
    return rng.choice((least, most, near, near, rng.randint(least, most)))


def _amount(rng: random.Random, kind: inspect.FloatType) -> float:
    least = kind.ge if kind.ge is not None else (5e-324 if kind.gt is not None else -1e12)
    most = kind.le if kind.le is not None else 1e12
    near = max(least, min(most, rng.choice((0.0, 1.0, 0.02, 400.0, 392.0, 1e6, -1e4))))
    return float(rng.choice((least, most, near, near, near, rng.uniform(least, most))))
