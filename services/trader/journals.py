"""Reads the journals of a run: which days there are, and what one service recorded on one day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from common import journal, rejudge, topology, wire
from common.messages import FACTS, Message
from services.trader.exit_codes import CommandError, ExitCode
from services.trader.picture import Picture

SERVICES = (*topology.DECIDERS, topology.CONSOLE)
"""The services that keep a journal."""


class Entry(Struct, frozen=True):
    """One record and where it stands."""

    service: str
    offset: int
    record: wire.Record[Any]


def files(var_dir: Path, service: str) -> list[Path]:
    """Journal files of a service, oldest first; each is named YYYYMMDD after its session."""
    return sorted((var_dir / "journal" / service).glob(f"*{journal.SUFFIX}"))


def files_of(var_dir: Path, service: str, day: str) -> list[Path]:
    """What the service recorded of the session `day` (YYYYMMDD): first what was set aside damaged,
    then the file that goes on."""
    folder = var_dir / "journal" / service
    return [
        *sorted(folder.glob(f"{day}.damaged-*")),
        *folder.glob(f"{day}{journal.SUFFIX}"),
    ]


def days(var_dir: Path) -> list[str]:
    """Every session (YYYYMMDD) that any service kept a journal of, oldest first."""
    return sorted({path.stem for service in SERVICES for path in files(var_dir, service)})


def header(path: Path) -> wire.Header:
    """The first record of a file; CommandError when it is damaged or of another version."""
    for _, payload in _read(path):
        try:
            return wire.header_decoder.decode(payload)
        except msgspec.MsgspecError as error:
            raise CommandError(ExitCode.NO, f"{path}: its head is unreadable: {error}") from error
    raise CommandError(ExitCode.NO, f"{path}: has no whole record")


def entries(path: Path, service: str) -> Iterator[Entry]:
    """The records of one file, in order, without its header.

    CommandError names what cannot be read: the offset of damage, or a journal of another version.
    """
    decode = wire.record_decoder(rejudge.edge_messages(service)).decode
    for number, (offset, payload) in enumerate(_read(path)):
        if number == 0:
            continue
        try:
            record = decode(payload)
        except msgspec.MsgspecError as error:
            reason = f"{path}: the record at byte {offset} is unreadable: {error}"
            raise CommandError(ExitCode.NO, reason) from error
        yield Entry(service, offset, record)


def recall(picture: Picture, var_dir: Path, service: str) -> None:
    """Adds to the picture what a silent service had said last, from its newest journal.

    CommandError when that cannot be read to its end; what came before is added all the same.
    """
    kept = files(var_dir, service)
    if kept:
        for fact, market_ns in _said(kept[-1], service):
            picture.recall(service, fact, market_ns)


def _said(path: Path, service: str) -> Iterator[tuple[Message, int]]:
    """Facts that the service said, oldest first, each with its market instant (UTC ns)."""
    head = header(path)
    decode = wire.message_decoder(rejudge.edge_messages(service)).decode
    for _, _, raw in head.loop.kept:
        yield decode(raw), head.now.market_ns
    for entry in entries(path, service):
        for number, output in entry.record.outputs:
            if number and isinstance(output, FACTS):
                yield output, entry.record.now.market_ns


def _read(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        yield from journal.read(path)
    except journal.JournalDamagedError as damage:
        raise CommandError(ExitCode.NO, str(damage)) from damage
