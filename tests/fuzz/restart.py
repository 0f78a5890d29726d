"""Whether a restart would know what a process knows: the journal, folded, is the live state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack

from common import wire
from common.engine import Engine
from common.fold import Fold
from tests.fuzz.target import Broken


def check(engine: Engine, folder: Path) -> None:
    """Folds the journal in `folder` anew; Broken when it is damaged or tells another state."""
    fold = Fold(engine.name, engine.decider, engine.settings)
    damage = fold.read_on(folder)
    if damage is not None:
        raise Broken(f"{engine.name} wrote a journal that nobody can read: {damage}")
    if _plain(fold.state) != _plain(engine.state):
        raise Broken(f"{engine.name}: a restart reads another state from the journal")


def _plain(state: Any) -> Any:
    """A state as plain values: sets have no order, so lists of words are sorted."""
    return _sorted(msgpack.unpackb(wire.encode_any(state), strict_map_key=False))


def _sorted(value: Any) -> Any:
    if isinstance(value, list):
        items = [_sorted(item) for item in value]
        return sorted(items) if items and all(isinstance(item, str) for item in items) else items
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in sorted(value.items(), key=repr)}
    return value
