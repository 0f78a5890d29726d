"""Writes the generated tables into README.md and docs/ from the code that declares them.

`make docs` runs it; a test refuses a page whose table differs from the code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from common import messages, topology
from common.tws.codes import CODES
from services.sim_tws.faults import FAULTS

ROOT = Path(__file__).resolve().parent.parent

KEPT = {
    "last": "newest, again every second",
    "session": "each one, again when asked",
    "event": "said once",
}


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _head(*titles: str) -> list[str]:
    return [_row(*titles), _row(*("---" for _ in titles))]


def _meaning(kind: type[object]) -> str:
    """The first sentence of a message's docstring; its name in words where it needs none."""
    text = " ".join((kind.__doc__ or "").split())
    if not text:
        return re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()
    return re.split(r"(?<=[.:])\s", text)[0].rstrip(".:")


def facts() -> list[str]:
    """Every fact: who says it, who hears it, how it is kept."""
    lines = _head("fact", "said by", "heard by", "kept", "meaning")
    for fact, said in topology.FACTS.items():
        hearers = ", ".join(said.hearers) or "trader"
        lines.append(
            _row(f"`{fact.__name__}`", said.speaker, hearers, KEPT[said.keep], _meaning(fact))
        )
    beat, alert = messages.Heartbeat, messages.Alert
    lines.append(
        _row(
            "`Heartbeat`",
            "every process",
            ", ".join(topology.HEARTBEAT_HEARERS),
            KEPT["event"],
            _meaning(beat),
        )
    )
    lines.append(
        _row(
            "`Alert`",
            "every process",
            ", ".join(topology.ALERT_HEARERS),
            KEPT["session"],
            _meaning(alert),
        )
    )
    return lines


def commands() -> list[str]:
    """Every command: who asks whom, who asks again, when it is void, what a dead answerer means."""
    lines = _head(
        "command",
        "asked by",
        "answered by",
        "who asks again",
        "deadline and its clock",
        "when the answerer is dead",
    )
    for command, asked in topology.COMMANDS.items():
        askers = "any process" if len(asked.askers) > 3 else ", ".join(asked.askers)
        answerers = "any process" if len(asked.answerers) > 3 else ", ".join(asked.answerers)
        lines.append(
            _row(
                f"`{command.__name__}`",
                askers,
                answerers,
                asked.retry_owner,
                asked.deadline,
                asked.if_dead,
            )
        )
    return lines


def codes() -> list[str]:
    """Every TWS code that the system knows."""
    lines = _head("code", "kind", "meaning", "what to do")
    for code, known in sorted(CODES.items()):
        lines.append(_row(str(code), known.kind, known.text, known.mend))
    return lines


def faults() -> list[str]:
    """Every fault that the simulated TWS can be told to have."""
    lines = _head("fault", "meaning", "arguments and their defaults")
    for name, fault in FAULTS.items():
        defaults = " ".join(f"{key}={value}" for key, value in fault.defaults.items())
        lines.append(_row(f"`{name}`", fault.meaning, f"`{defaults}`" if defaults else ""))
    return lines


TABLES: dict[str, Callable[[], list[str]]] = {
    "facts": facts,
    "commands": commands,
    "codes": codes,
    "faults": faults,
}
PAGES = ("README.md", "docs/commands.md", "docs/codes.md", "docs/simulated-tws.md")


def rewritten(text: str) -> str:
    """A page with each `<!-- table: name -->` block made anew; KeyError for an unknown name."""

    def block(found: re.Match[str]) -> str:
        table = "\n".join(TABLES[found[1]]())
        return f"<!-- table: {found[1]} -->\n{table}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


def main() -> None:
    """Rewrites every page whose tables differ."""
    for name in PAGES:
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = rewritten(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{name} rewritten\n")


if __name__ == "__main__":
    main()
