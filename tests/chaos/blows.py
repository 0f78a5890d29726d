"""How each blow is struck and how it is lifted again.

Striking returns at once; `lift` undoes it and waits for what must follow (a hung process replaced,
a killed supervisord noticed). What does not follow is a complaint.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from common import topology
from tests.chaos.schedule import Blow
from tests.chaos.world import SIM_TWS, World, burners

WATCHDOG_S_MAX = 30.0  # a silent process must be replaced by then, on a loaded machine too
END_S_MAX = 45.0  # a launcher whose supervisord was killed must have ended by then
GONE_S_MAX = 10.0
WRITE_S_MAX = 5.0
START_S_MAX = 90.0
DEAD = "Z"

Strike = Callable[[World, Blow], Iterator[None]]
"""A generator: strikes, yields while the blow lasts, lifts."""


def targets(*, disk: str) -> dict[str, tuple[str, ...]]:
    """Per kind the processes it may hit; `disk`: why the disk cannot be filled here, or ""."""
    everyone = (*topology.SPEAKERS, topology.RISK_STANDBY)
    watched = tuple(name for name in everyone if name != topology.WATCHDOG)
    return {
        "kill": everyone,
        "hang": watched,
        "hang-monitors": (topology.RISK,),
        "pause": (*everyone, SIM_TWS),
        "write-fails": topology.DECIDERS,
        "disk-full": () if disk else ("",),
    }


def kill(world: World, blow: Blow) -> Iterator[None]:
    world.send(blow.target, signal.SIGKILL)
    yield


def hang(world: World, blow: Blow) -> Iterator[None]:
    """Stopped for good: the watchdog must see it and kill it."""
    yield from _hung(world, blow.target)


def hang_monitors(world: World, _blow: Blow) -> Iterator[None]:
    """The stop monitor and its standby in the same instant: the gateway's guard is what is left."""
    yield from _hung(world, topology.RISK, topology.RISK_STANDBY)


def _hung(world: World, *names: str) -> Iterator[None]:
    pids = {name: world.send(name, signal.SIGSTOP) for name in names}
    yield
    for name, pid in pids.items():
        if pid and not world.until(partial(_gone, pid), WATCHDOG_S_MAX):
            world.complaints.append(f"{name} hung for {WATCHDOG_S_MAX:g} s and was not replaced")
            world.send_to(pid, signal.SIGCONT)
        world.stopped.discard(pid)


def pause(world: World, blow: Blow) -> Iterator[None]:
    pid = world.send(blow.target, signal.SIGSTOP)
    yield
    if pid:
        world.send_to(pid, signal.SIGCONT)


def starve(_world: World, blow: Blow) -> Iterator[None]:
    with burners(blow.seconds):
        yield


def link_loss(world: World, blow: Blow) -> Iterator[None]:
    code = 1101 if blow.draw < 0.5 else 1102
    world.sim("link-loss", seconds=0, code=code)
    yield
    world.sim("link-restore", code=code)


def nightly_reset(world: World, blow: Blow) -> Iterator[None]:
    world.sim("nightly-reset", seconds=blow.seconds)
    yield


def socket_reset(world: World, blow: Blow) -> Iterator[None]:
    world.sim("drop-client", client_id=_client(blow))
    yield


def half_open(world: World, blow: Blow) -> Iterator[None]:
    world.sim("half-open", client_id=_client(blow), host_seconds=20.0)
    yield


def freeze_tws(world: World, _blow: Blow) -> Iterator[None]:
    world.sim("freeze", on=True)
    yield
    world.sim("freeze", on=False)


def kill_tws(world: World, _blow: Blow) -> Iterator[None]:
    """TWS dies; its supervisor brings it back with the books that IB keeps."""
    world.send(SIM_TWS, signal.SIGKILL)
    yield


def restart_tws(world: World, blow: Blow) -> Iterator[None]:
    """The nightly restart: the port is shut, ids roll back, the old session is held for a while."""
    back = int(blow.draw * 6)
    taken_s = 2.0 * blow.draw
    world.sim("restart", host_seconds=blow.seconds, ids_back=back, ids_taken_host_seconds=taken_s)
    yield


def slow_tws(world: World, blow: Blow) -> Iterator[None]:
    world.sim("slow", host_seconds=0.2 + 0.6 * blow.draw)
    yield
    world.sim("slow", host_seconds=0.0)


def lose_order(world: World, _blow: Blow) -> Iterator[None]:
    world.sim("lose-orders", count=1)
    yield
    world.sim("lose-orders", count=0)  # a fault that waits would fall into the calm


def late_reports(world: World, blow: Blow) -> Iterator[None]:
    """Fills and statuses late, twice and out of order, though all happened in time."""
    world.sim("ack-delay", host_seconds=2.0 * blow.draw)
    world.sim("duplicate-status", on=True)
    world.sim("reorder-status", on=True)
    yield
    world.sim("ack-delay", host_seconds=0.0)
    world.sim("duplicate-status", on=False)
    world.sim("reorder-status", on=False)


def disk_full(world: World, _blow: Blow) -> Iterator[None]:
    """The file system of journals, logs and clock, to the last byte."""
    assert world.disk is not None
    with _filled(world.disk / "filler"):
        yield


def write_fails(world: World, blow: Blow) -> Iterator[None]:
    """One process may write no file any further; it must die rather than forget."""
    pid = world.pid(blow.target)
    if pid:
        try:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        except (ProcessLookupError, PermissionError) as error:
            world.complaints.append(f"write-fails could not be struck: {error}")
            pid = 0
    yield
    if pid and not world.until(lambda: _gone(pid), WRITE_S_MAX):
        with suppress(ProcessLookupError):  # it had nothing to record, so it has lost nothing
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def halt(world: World, _blow: Blow) -> Iterator[None]:
    """A person halts, whatever is dead just then; entries must stop within a second."""
    world.halt("a person, as a blow")
    yield
    world.resume()


def second_start(world: World, _blow: Blow) -> Iterator[None]:
    before = world.everything()
    status, said = world.run.second_start()
    if status != 1 or "already running" not in said:
        world.complaints.append(f"a second start ended with {status}:\n{said[-500:]}")
    if before and set(before.values()) != set(world.everything().values()):
        world.complaints.append("a second start disturbed the running processes")
    yield


def kill_supervisord(world: World, _blow: Blow) -> Iterator[None]:
    """The launcher must notice and end; nobody may be left behind."""
    left = world.everything()
    if left:
        world.send_to(left["supervisord"], signal.SIGKILL)
    yield
    if not left:
        return
    if not world.until(lambda: world.run.ended, END_S_MAX):
        world.complaints.append("the launcher did not notice that supervisord was killed")
        world.run.crash()
    elif "supervisord has ended" not in world.run.terminal:
        world.complaints.append("the launcher did not say that supervisord has ended")
    _start_again(world, left)


def kill_launcher(world: World, _blow: Blow) -> Iterator[None]:
    left = world.everything()
    world.run.crash()
    yield
    _start_again(world, left)


def _start_again(world: World, left: dict[str, int]) -> None:
    if not world.until(lambda: all(_gone(pid) for pid in left.values()), GONE_S_MAX):
        alive = [name for name, pid in left.items() if not _gone(pid)]
        world.complaints.append(f"left behind by a dead supervisord: {', '.join(alive)}")
        for pid in left.values():
            world.send_to(pid, signal.SIGKILL)
    world.stopped.clear()
    world.forget()
    world.run.go_on()
    if not world.until(
        lambda: "✅ Connected" in world.run.terminal or world.run.ended, START_S_MAX
    ):
        world.complaints.append(f"no connection after a new start:\n{world.run.terminal[-1000:]}")
    if world.run.ended:
        world.complaints.append(f"it could not be started again:\n{world.run.terminal[-1000:]}")


def _client(blow: Blow) -> int:
    """The order connection or the data connection."""
    return 1 if blow.draw < 0.5 else 2


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == DEAD
    except OSError:
        return True


@contextmanager
def _filled(path: Path) -> Iterator[None]:
    """A file that takes all the room there is."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for block in (b"x" * 65_536, b"x" * 4096, b"x"):
            try:
                while os.write(descriptor, block):
                    pass
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise
        yield
    finally:
        os.close(descriptor)
        path.unlink()


STRIKES: dict[str, Strike] = {
    "kill": kill,
    "hang": hang,
    "hang-monitors": hang_monitors,
    "pause": pause,
    "starve": starve,
    "link-loss": link_loss,
    "nightly-reset": nightly_reset,
    "socket-reset": socket_reset,
    "half-open": half_open,
    "freeze-tws": freeze_tws,
    "kill-tws": kill_tws,
    "restart-tws": restart_tws,
    "slow-tws": slow_tws,
    "lose-order": lose_order,
    "late-reports": late_reports,
    "disk-full": disk_full,
    "write-fails": write_fails,
    "halt": halt,
    "second-start": second_start,
    "kill-supervisord": kill_supervisord,
    "kill-launcher": kill_launcher,
}
