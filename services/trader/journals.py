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


def file_of(var_dir: Path, service: str, day: str) -> Path | None:
    """The file of the session `day` (YYYYMMDD), if the service kept one."""
    path = var_dir / "journal" / service / f"{day}{journal.SUFFIX}"
    return path if path.exists() else None


def days(var_dir: Path) -> list[str]:
    """Every session (YYYYMMDD) that any service kept a journal of, oldest first."""
    return sorted({path.stem for service in SERVICES for path in files(var_dir, service)})


def entries(path: Path, service: str) -> Iterator[Entry]:
    """The records of one file, in order, without its header.

    CommandError names what cannot be read: the offset of damage, or a journal of another version.
    """
    decode = wire.record_decoder(rejudge.edge_messages(service)).decode
    offset = 0
    try:
        for offset, payload in list(journal.read(path))[1:]:
            yield Entry(service, offset, decode(payload))
    except journal.JournalDamagedError as damage:
        raise CommandError(ExitCode.NO, str(damage)) from damage
    except msgspec.MsgspecError as error:
        raise CommandError(
            ExitCode.NO, f"{path}: the record at byte {offset} is of another version: {error}"
        ) from error


def recall(picture: Picture, var_dir: Path, service: str) -> None:
    """Adds to the picture what a silent service had said last, from its newest journal."""
    kept = files(var_dir, service)
    if not kept:
        return
    for fact, market_ns in _said(kept[-1], service):
        picture.recall(service, fact, market_ns)


def _said(path: Path, service: str) -> Iterator[tuple[Message, int]]:
    """Facts that the service said, oldest first, each with its market instant (UTC ns)."""
    payloads = (payload for _, payload in journal.read(path))
    header = wire.header_decoder.decode(next(payloads))
    decode = wire.message_decoder(rejudge.edge_messages(service)).decode
    for _, _, raw in header.loop.kept:
        yield decode(raw), header.now.market_ns
    for entry in entries(path, service):
        for number, output in entry.record.outputs:
            if number and isinstance(output, FACTS):
                yield output, entry.record.now.market_ns
