"""Target `settings`: a settings file or an environment with anything wrong in it.

What comes of it is a Settings or a SettingsError that names something; never another exception.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from common.settings import SETTINGS_FILE, Settings, SettingsError, from_json, load
from tests.fuzz import mutations
from tests.fuzz.target import Broken, Tally, Target, shown

SHIPPED = SETTINGS_FILE.read_bytes()
LINES = SHIPPED.splitlines(keepends=True)
KEYS = [at for at, line in enumerate(LINES) if re.match(rb"[a-z_]+ *=", line)]
VALUES: tuple[bytes, ...] = (
    b"", b"0", b"-1", b"1", b"2", b"0.02", b"1e400", b"-1e400", b"nan", b"inf", b"-inf", b"true",
    b"false", b'""', b'"x"', b'"nan"', b"'''", b"[]", b"[1, 2]", b"[[1]]", b'["a"]', b"{}",
    b"{a = 1}", b"2026-03-03", b"2026-03-03T09:30:00Z", b"09:30:00", b"99999999999999999999999",
    b"0x7fffffffffffffff", b"9223372036854775807", b"70000", b"-70000", b"[70000]", b"[0.0, 1.0]",
    b"1_000", b"[" * 3000, b'"\xff"', b'"\\u0000"', b'"' + b"x" * 3000 + b'"',
)  # fmt: skip


def files(rng: random.Random, messages: int, folder: Path) -> Tally:
    """Mutated files and environments into `load`."""
    tally, path = Tally(), folder / "settings.toml"
    for _ in range(messages):
        data = _file(rng)
        path.write_bytes(data)
        environment = _environment(rng)
        try:
            given = load(path, environment)
        except SettingsError as refused:
            tally.rejected += 1
            if not str(refused).strip():
                raise Broken(f"a refusal without a word: {environment} {shown(data)}") from refused
        except Exception as error:
            raise Broken(f"load raised {error!r} on {environment} {shown(data)}") from error
        else:
            tally.accepted += 1
            ports = (*given.broker.paper_ports, *given.broker.live_ports)
            if not all(0 < port < 65536 for port in ports):
                raise Broken(f"ports that no socket has: {ports}")
            if from_json(given.to_json()) != given or not isinstance(given, Settings):
                raise Broken(f"settings that a journal cannot keep: {environment} {shown(data)}")
    return tally


def _file(rng: random.Random) -> bytes:
    lines = list(LINES)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        at = rng.choice(KEYS)
        kind = rng.randrange(8)
        if kind < 4:
            key = LINES[at].split(b"=")[0]
            lines[at] = key + b"= " + rng.choice(VALUES) + b"\n"
        elif kind == 4:
            lines[at] = mutations.damaged(rng, lines[at])
        elif kind == 5:
            lines[at] = lines[rng.choice(KEYS)]
        elif kind == 6:
            lines.insert(rng.randrange(len(lines)), rng.choice(VALUES) + b"\n")
        else:
            del lines[at]
            lines.insert(at, b"")
    data = b"".join(lines)
    return mutations.damaged(rng, data) if rng.random() < 0.1 else data


def _environment(rng: random.Random) -> dict[str, str]:
    if rng.random() < 0.6:
        return {}
    section = rng.choice((*Settings.__struct_fields__, "STOP", "nothing", "", "stop__x"))
    fields = getattr(Settings(), section, None)
    keys = fields.__struct_fields__ if fields is not None else ("loss_fraction",)
    key = rng.choice((*keys, "", "x", "key with blanks", "é"))
    text = rng.choice(VALUES).decode("utf-8", "replace")
    if rng.random() < 0.2:
        text = f"{text}\n[stop]\nloss_fraction = 0.2"
    return {f"TRADER__{section.upper()}__{key.upper()}": text, "TRADER_VAR": "x"}


TARGETS = (
    Target("settings", "mutated settings files and environments", files, 1000, 0.02),
)  # fmt: skip
