"""What keeps one copy of the system running: parent death, the start lock, supervisord's socket.

Measured on Linux with supervisor 4.3: a killed supervisord leaves its children running, and the
next one starts second copies; binding an ipc path twice silently steals it. So children die with
their parent, and a lock file that the kernel frees with its holder guards the start.
"""

from __future__ import annotations

import ctypes
import fcntl
import http.client
import os
import signal
import socket
import stat
import tempfile
import xmlrpc.client
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

_PR_SET_PDEATHSIG = 1
RPC_TIMEOUT_S = 2.0

ProcessState = Literal[
    "STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"
]


class AlreadyRunningError(RuntimeError):
    """Another copy holds the lock; `pid` is its launcher's (0 when it could not be read)."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"the system is already running (process {pid or 'unknown'})")
        self.pid = pid


class SupervisorError(RuntimeError):
    """supervisord did not answer, or refused; the text says which."""


class Process(Struct, frozen=True):
    """One row of supervisord's table; `pid` is 0 while the process does not exist."""

    name: str
    state: ProcessState
    pid: int


def die_with_parent(parent_pid: int | None = None) -> None:
    """Have the kernel kill this process when its parent dies; exits if that has happened already.

    SIGKILL, because a stuck process would ignore anything else. `parent_pid`: the parent, where
    the caller knew it before the fork; without it an orphan is one whose parent is process 1.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if parent_pid is not None and os.getppid() != parent_pid:
        os._exit(1)


class StartLock:
    """An exclusive lock on a file, held as long as this process lives."""

    def __init__(self, path: Path) -> None:
        """Takes the lock and writes this process's id; AlreadyRunningError when it is held."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise AlreadyRunningError(int(text) if text.isdigit() else 0) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def private_root() -> Path:
    """A short folder of this user's own (mode 0700) for locks and sockets.

    `$XDG_RUNTIME_DIR/trader`, else `trader-UID` in the temporary folder. Raises PermissionError
    when it belongs to somebody else or is open to others: whoever can write there can give orders.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and os.access(base, os.W_OK | os.X_OK):
        folder = Path(base) / "trader"
    else:
        folder = Path(tempfile.gettempdir()) / f"trader-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder of yours that nobody else can enter")
    return folder


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=RPC_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(RPC_TIMEOUT_S)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 - the path is the address
        return _UnixConnection(self._path)


class Supervisor:
    """supervisord's XML-RPC over its unix socket (supervisor docs, "XML-RPC API").

    Each call is a connection of its own, so a restarted supervisord needs no care. Every method
    raises SupervisorError when it cannot be done.
    """

    def __init__(self, socket_path: Path) -> None:
        self._path = str(socket_path)

    def processes(self) -> list[Process]:
        return [
            Process(name=row["name"], state=row["statename"], pid=row["pid"])
            for row in self._call("getAllProcessInfo")
        ]

    def start(self, name: str) -> None:
        """Starts a stopped process, without waiting for it to be up."""
        self._call("startProcess", name, False)

    def shutdown(self) -> None:
        """Stops every process (SIGTERM, then SIGKILL after its stopwaitsecs) and supervisord."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: object) -> Any:
        proxy = xmlrpc.client.ServerProxy("http://localhost", _UnixTransport(self._path))
        with proxy:
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
                raise SupervisorError(f"supervisord: {method}: {error}") from error


def read_json(path: Path, kind: type[Any]) -> Any:
    """A small JSON file that another process replaces in one step; None while there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
