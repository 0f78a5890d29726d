"""supervisord, asked over its unix socket, and the private folder that socket lies in."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import tempfile
import xmlrpc.client
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from common.core.vigil import Process

RPC_TIMEOUT_S = 2.0


class SupervisorError(RuntimeError):
    """supervisord did not answer, or refused; the text says which."""


def private_root() -> Path:
    """A short folder of this user's own (mode 0700) for sockets.

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

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = host, connection  # where the base class looks when it closes
        return connection


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
        wait = False
        self._call("startProcess", name, wait)

    def shutdown(self) -> None:
        """Stops every process (SIGTERM, then SIGKILL after its stopwaitsecs) and supervisord."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: object) -> Any:
        proxy = xmlrpc.client.ServerProxy("http://localhost", _UnixTransport(self._path))
        with proxy:
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError) as error:
                raise SupervisorError(f"supervisord: {method}: {error}") from error
