"""Functions compiled by numba, and kept on disk for the next process."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
from numba.core import event
from numba.extending import register_jitable

OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
"""`_nrt`: compiled code counts no references, so it may pass arrays about for nothing. It may not
make any: whoever calls brings the room."""

_config: Any = numba.config
# Sums in strands become vector instructions, in the very order that is written. LLVM does this by
# default; numba does not, since an older LLVM did it wrongly: the event path in plain Python, with
# which the compiled one must agree to the bit, stands guard.
_config.SLP_VECTORIZE = 1


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, which compiled functions may call from now on."""
    compilable: Callable[..., Any] = register_jitable(**OPTIONS, forceinline=True)(function)
    return compilable


def kept(function: Callable[..., Any], modules: Iterable[ModuleType] = ()) -> Callable[..., Any]:
    """`function` compiled, without the interpreter's lock, kept on disk for the next process.

    numba notices a change of the function's own file only, so the folder is named after all the
    sources that are compiled into it: name every other module whose functions or constants it
    reads, directly or by way of its parts.
    """
    files = {str(inspect.getsourcefile(function)), *(str(one.__file__) for one in modules)}
    texts = b"".join(Path(file).read_bytes() for file in sorted({*files, __file__}))
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "trader" / f"compiled-{hashlib.sha256(texts).hexdigest()[:16]}"
    njit: Any = numba.njit
    compiled: Callable[..., Any]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        compiled = njit(function, **OPTIONS, nogil=True)
        return compiled
    usual, _config.CACHE_DIR = _config.CACHE_DIR, str(folder)
    try:
        compiled = njit(function, **OPTIONS, nogil=True, cache=True)
    finally:
        _config.CACHE_DIR = usual
    return compiled


class _First(event.Listener):
    """Speaks of the first start of an event, and of nothing else."""

    def __init__(self, say: Callable[[], object]) -> None:
        self._say: Callable[[], object] | None = say

    def on_start(self, _: object) -> None:
        if self._say:
            say, self._say = self._say, None
            say()

    def on_end(self, _: object) -> None:
        pass


@contextmanager
def told(say: Callable[[], object]) -> Iterator[None]:
    """Calls `say` before the first function within that is not on disk yet is compiled: that takes
    seconds, once for each version of the rules."""
    with event.install_listener("numba:compile", _First(say)):
        yield
