"""What the logs tell of failures that nobody struck: an exception, an abort.

A service that dies of its own is started again and may leave the books in order: only its log
shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

TRACEBACK = "Traceback (most recent call last)"
LAST_LINE = re.compile(r"^[\w.]*(Error|Exception|Exit|Interrupt)\b")
STRUCK = re.compile(r"DiskFullError|Errno 27|Errno 28|No space left|File too large")
"""What a full disk and a file that may not grow are bound to raise."""
ABORTED = re.compile(r"Assertion failed|Fatal Python error|terminated by SIG(?!KILL|TERM)")


def failures(folder: Path) -> list[str]:
    """One sentence for each failure in the logs of a folder that no blow explains."""
    return [
        f"{path.name}: {line}"
        for path in sorted(folder.iterdir())
        if path.is_file()
        for line in unexplained(path.read_text(errors="replace"))
    ]


def unexplained(text: str) -> Iterator[str]:
    """The last line of each traceback, and each abort, but those that a blow explains."""
    in_traceback = False
    for raw in text.splitlines():
        line = raw.strip()
        if TRACEBACK in line:
            in_traceback = True
        elif in_traceback and LAST_LINE.match(line):
            in_traceback = False
            if not STRUCK.search(line):
                yield line
        elif ABORTED.search(line):
            yield line
