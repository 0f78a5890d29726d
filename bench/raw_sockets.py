"""Bare pyzmq with the options of common/bus.py: the yardstick of one hop between two processes."""

from __future__ import annotations

from pathlib import Path

import zmq

from common import wire

HIGH_WATER = 1000


def bound(context: zmq.Context[zmq.Socket[bytes]], run_dir: Path) -> zmq.Socket[bytes]:
    """A PUB that speaks."""
    publisher = with_options(context.socket(zmq.PUB))
    publisher.bind(_endpoint(run_dir))
    return publisher


def connected(context: zmq.Context[zmq.Socket[bytes]], run_dir: Path) -> zmq.Socket[bytes]:
    """A SUB that hears everything it says."""
    subscriber = with_options(context.socket(zmq.SUB))
    subscriber.connect(_endpoint(run_dir))
    subscriber.subscribe(b"")
    return subscriber


def with_options(socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
    """The options that common/bus.py gives PUB and SUB."""
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDHWM, HIGH_WATER)
    socket.set(zmq.RCVHWM, HIGH_WATER)
    socket.set(zmq.MAXMSGSIZE, wire.FRAME_BYTES_MAX)
    socket.set(zmq.RECONNECT_IVL, 10)
    socket.set(zmq.RECONNECT_IVL_MAX, 30)
    return socket


def _endpoint(run_dir: Path) -> str:
    return f"ipc://{run_dir}/raw.facts"
