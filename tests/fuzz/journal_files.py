"""Target `journal`: a journal cut, flipped, spliced, or holding what no decoder reads.

A restart folds exactly the sound records before the first damage, in order, nothing after it and
nothing twice; where sound records follow the damage it says so, and sets the file aside. A reader
of its own, written from the format alone, says what is sound.
"""

from __future__ import annotations

import random
import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from common import wire
from common.engine import CHECKPOINT_RECORDS
from common.fold import UNREADABLE
from common.journal import CHECKPOINT_MAGIC, MAGIC
from common.messages import JournalDamaged
from tests.engine_play import Loop, Scripted, commission
from tests.fuzz import mutations
from tests.fuzz.target import Broken, Tally, Target

RECORDS = 40
CHECKPOINT_EVERY = 12
HEAD_BYTES = 12
TOO_LONG_BYTES = 8 * 1024 * 1024


class Written:
    """One sound journal with checkpoints in it, as bytes, and what each of its frames holds."""

    def __init__(self, folder: Path) -> None:
        with closing(Loop(folder, Scripted())) as loop:
            for number in range(1, RECORDS + 1):
                loop.fact(commission(number), number)
                if number % CHECKPOINT_EVERY == 0:
                    loop.engine._since_checkpoint = CHECKPOINT_RECORDS
                    loop.engine.tick()
        self.path = next(folder.glob("*.journal"))
        self.data = self.path.read_bytes()
        self.seen = loop.seen
        self.frames = sound_frames(self.data)
        assert len(self.frames) > RECORDS
        assert sum(magic == CHECKPOINT_MAGIC for magic, _ in self.frames) == RECORDS // 12


def sound_frames(data: bytes) -> list[tuple[bytes, bytes]]:
    """Magic and payload of each frame up to the first that is not whole: the format, read anew."""
    found, at = [], 0
    while at + HEAD_BYTES <= len(data):
        magic, length, checksum = struct.unpack_from("<4sII", data, at)
        payload = data[at + HEAD_BYTES : at + HEAD_BYTES + length]
        known = magic in (MAGIC, CHECKPOINT_MAGIC) and length <= TOO_LONG_BYTES
        if not known or len(payload) < length or zlib.crc32(payload) != checksum:
            break
        found.append((magic, payload))
        at += HEAD_BYTES + length
    return found


def length_of(frames: list[tuple[bytes, bytes]]) -> int:
    return sum(HEAD_BYTES + len(payload) for _, payload in frames)


def expected(frames: list[tuple[bytes, bytes]]) -> tuple[list[str], bool]:
    """What a restart knows: the newest state that can be read and the records after it, in order,
    up to one that nobody can read. And whether anything on the way could not be read."""
    states = [(at, _state(payload)) for at, (magic, payload) in enumerate(frames)
              if at == 0 or magic == CHECKPOINT_MAGIC]  # fmt: skip
    readable = [(at, seen) for at, seen in states if seen is not None]
    if not readable:
        return [], True
    start, known = readable[-1]
    skipped = len(states) > 0 and states[-1][1] is None
    seen = list(known)
    decoder = wire.record_decoder(Scripted.EDGE_MESSAGES)
    for magic, payload in frames[start + 1 :]:
        if magic == CHECKPOINT_MAGIC:
            continue
        try:
            message: Any = decoder.decode(payload).message
        except UNREADABLE:
            return seen, True
        seen.append(f"{type(message).__name__}{getattr(message, 'exec_id', '')}")
    return seen, skipped


def _state(payload: bytes) -> list[str] | None:
    """What a header or checkpoint holds; None where nobody can read it."""
    try:
        header = wire.header_decoder.decode(payload)
        state = msgspec.msgpack.decode(header.state, type=Scripted.State)
        readable = all(wire.message_decoder().decode(raw) for *_, raw in header.loop.kept)
    except UNREADABLE:
        return None
    return state.seen if readable and header.version == wire.WIRE_VERSION else None


def check(folder: Path, data: bytes, name: str) -> bool:
    """Restarts on `data`; whether damage was told. Broken when the restart knows another past."""
    for path in folder.iterdir():
        path.unlink()
    (folder / name).write_bytes(data)
    loop = Loop(folder, Scripted(), restore=False)
    with closing(loop):
        told = _restarted(loop, data)
        loop.fact(commission(999), 999, floor=999)  # and life goes on, on a journal that reads back
    with closing(Loop(folder, Scripted())) as again:
        if "Commission999" not in again.seen:
            raise Broken(f"what came after the restart is lost, of {data!r}")
    return told


def _restarted(loop: Loop, data: bytes) -> bool:
    """Whether damage was told; Broken when the loop knows more or less than the sound records."""
    frames = sound_frames(data)
    try:
        loop.engine.restore()
    except Exception as error:
        raise Broken(f"restore raised {error!r} on {data!r}") from error
    told = any(seen.startswith(JournalDamaged.__name__) for seen in loop.seen)
    own = ("Started", JournalDamaged.__name__)
    sound, unread = expected(frames)
    new = [seen for seen in loop.seen[len(sound) :] if seen not in own]
    if loop.seen[: len(sound)] != sound or new:
        lost = [seen for seen in sound if seen not in loop.seen]
        raise Broken(f"a restart knows {new} too much, {lost} too little: {data[-600:]!r}")
    rest = data[length_of(frames) :]
    hidden = any(sound_frames(rest[at:]) for at in range(len(rest)) if rest[at : at + 2] == b"TR")
    if (hidden or unread) and not told:
        raise Broken(f"damage with sound records behind it was not told, of {data!r}")
    return told


def changed(rng: random.Random, written: Written) -> bytes:
    """The journal with one thing wrong in it."""
    data, frames = written.data, list(written.frames)
    kind, at = rng.randrange(8), rng.randrange(len(data) + 1)
    if kind < 2:
        flipped = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 9))):
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == 2:
        return data[:at] + rng.randbytes(rng.randrange(1, 60)) + data[at:]
    if kind == 3:
        return data[:at] + bytes(rng.randrange(1, 4096))
    if kind == 4:
        return mutations.damaged(rng, data)
    number = rng.randrange(len(frames))
    magic, payload = frames[number]
    if kind == 5:  # a whole frame of nonsense, its checksum right
        frames[number] = (magic, mutations.damaged(rng, payload))
    elif kind == 6:  # a checkpoint of another version of the program
        number = rng.choice([n for n, (m, _) in enumerate(frames) if m == CHECKPOINT_MAGIC])
        frames[number] = (CHECKPOINT_MAGIC, rng.choice((b"", b"\xc0", payload[:9], b"\x90")))
    else:
        del frames[number + 1 :]
        frames[number] = (magic, payload[: len(payload) // 2])
    return b"".join(
        struct.pack("<4sII", magic, len(payload), zlib.crc32(payload)) + payload
        for magic, payload in frames
    )


def every_cut(folder: Path, step: int = 1) -> int:
    """The journal cut at every `step`th byte; how many cuts."""
    (folder / "sound").mkdir()
    (folder / "cut").mkdir()
    written = Written(folder / "sound")
    for at in range(0, len(written.data) + 1, step):
        check(folder / "cut", written.data[:at], written.path.name)
    return len(range(0, len(written.data) + 1, step))


def journals(rng: random.Random, messages: int, folder: Path) -> Tally:
    """Damaged journals into a restart."""
    tally = Tally()
    for name in ("sound", "hurt"):
        (folder / name).mkdir()
    written = Written(folder / "sound")
    for number in range(messages):
        cut = number % 2 == 0
        data = written.data[: rng.randrange(len(written.data))] if cut else changed(rng, written)
        if check(folder / "hurt", data, written.path.name):
            tally.rejected += 1
        else:
            tally.accepted += 1
    return tally


TARGETS = (Target("journal", "restarts on damaged journals", journals, 500, 0.02),)
