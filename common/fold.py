"""A journal folded: the decider's State and the loop's Memory, as the records tell them.

A restart folds once, to the end. A standby folds on while the active copy writes, so that it only
has the last few records left when it takes over. Both do it here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import msgspec

from common import journal, wire
from common.disk import REAL, Disk
from common.journal import JournalDamagedError, Newest
from common.memory import Memory
from common.messages import Message, Now, Session
from common.settings import Settings

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises on bytes that are not what they should be."""


class Decider(Protocol):
    """A pure module of `common/core`; see docs/architecture.md."""

    @property
    def State(self) -> type[Any]: ...  # noqa: N802  (a class that a module exports)
    def start(self, settings: Settings) -> Any: ...
    def evolve(self, state: Any, now: Now, message: Message) -> None: ...
    def decide(self, state: Any, now: Now, message: Message) -> list[Message]: ...
    def ready(self, state: Any) -> str: ...
    def busy(self, state: Any) -> bool: ...


def edge_messages(decider: Any) -> tuple[type[Message], ...]:
    """The message types between a decider and its own edge (`EDGE_MESSAGES`, or none)."""
    return tuple(getattr(decider, "EDGE_MESSAGES", ()))


class Fold:
    """What the newest journal file of a service leads to, as far as it has been read.

    `records`: how many were folded on top of the newest header; `build`, `settings_json`, `boot`:
    of the process that wrote that header ("" before any); `latest_day`: of the newest Session
    after it; `host_ns`: host time of the newest header or record.
    """

    def __init__(self, name: str, decider: Decider, settings: Settings, disk: Disk = REAL) -> None:
        self.name = name
        self._disk = disk
        self._decider = decider
        self._settings = settings
        edge_types = edge_messages(decider)
        self._record = wire.record_decoder(edge_types)
        self._message = wire.message_decoder(edge_types)
        self._found: Newest | None = None
        self._begin()

    def _begin(self) -> None:
        self.state: Any = self._decider.start(self._settings)
        self.memory = Memory(self.name)
        self.records = 0
        self.latest_day = ""
        self.host_ns = 0
        self.build = self.settings_json = self.boot = ""

    @property
    def path(self) -> Path | None:
        """The file that was read last."""
        return self._found.path if self._found else None

    @property
    def sound_bytes(self) -> int:
        """Its length up to the last sound record."""
        return self._found.sound_bytes if self._found else 0

    def read_on(self, folder: Path) -> JournalDamagedError | None:
        """Folds what `folder` has got since the last call; the damage that ends it, or None.

        A new session's file, or another one under the same name, is begun with its own header.
        """
        path = journal.newest_file(folder, self._disk)
        if path is None:
            return None
        found, skipped = self._newest_readable(path)
        self._found = None  # after a failure the next call begins anew: a record counts once
        if found is None:
            return skipped
        try:
            for payload in found.records:
                self._take_record(self._record.decode(payload), path.stem)
        except UNREADABLE as error:
            return JournalDamagedError(path, 0, f"record {self.records}: {error}")
        found.header, found.records = b"", []  # what is folded need not be held
        self._found = found
        return found.damage or skipped

    def _newest_readable(self, path: Path) -> tuple[Newest | None, JournalDamagedError | None]:
        """Takes the newest state that can be decoded; what comes after it, and which could not.

        A checkpoint only repeats what stands before it, so leaving one out loses nothing; it is
        told all the same. Without any there is nothing to fold on.
        """
        damage: JournalDamagedError | None = None
        unreadable: set[int] = set()
        while True:
            found = journal.newest(path, self._found, frozenset(unreadable), self._disk)
            if found.start == 0:
                self._begin()
            elif not found.header:
                return found, damage
            try:
                self._take_header(wire.header_decoder.decode(found.header))
            except UNREADABLE as error:
                why = f"the state kept there cannot be read: {error}"
                damage = damage or JournalDamagedError(path, found.header_at, why)
                if found.header_at == 0:
                    return None, damage
                unreadable.add(found.header_at)
            else:
                return found, damage

    def _take_header(self, header: wire.Header) -> None:
        if header.version != wire.WIRE_VERSION:
            raise msgspec.ValidationError(f"journal version {header.version}")
        state = msgspec.msgpack.decode(header.state, type=self._decider.State)
        self.memory = Memory.of(self.name, header.loop, self._message.decode)
        self.state = state
        self.records = 0
        self.latest_day = ""
        self.host_ns = header.now.host_ns
        self.build, self.settings_json = header.build, header.settings_json
        self.boot = header.boot

    def _take_record(self, record: wire.Record[Any], file: str) -> None:
        evolve, now = self._decider.evolve, record.now
        self.memory.remember(record, file)
        self.host_ns = now.host_ns
        for message in (record.message, *(output for _, output in record.outputs)):
            evolve(self.state, now, message)
            if isinstance(message, Session):
                self.latest_day = max(self.latest_day, file_of(message))
        self.records += 1


def file_of(session: Session) -> str:
    """The name of a session's journal file, without its suffix."""
    return f"{session.day:%Y%m%d}"
