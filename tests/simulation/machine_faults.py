"""What goes wrong on the machine: processes, power, disks, clocks, the bus between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import topology
from tests.simulation.fault import NOTHING, Fault, Harm
from tests.simulation.process import Process
from tests.simulation.timeline import Act, seconds
from tests.simulation.tws import DATA_CLIENT, ORDERS_CLIENT
from tests.simulation.tws_faults import drop, roll_ids_back

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis

WATCHDOG_S = (3.0, 4.0)
POINTS = (
    "before-write", "after-write", "mid-write", "after-sync", "before-say", "after-say",
    "before-ask", "after-ask", "after-answer", "after-perform",
)  # fmt: skip


def some_process(nemesis: Nemesis) -> Process:
    names = (*topology.DECIDERS, topology.GATEWAY, topology.RISK)
    return nemesis.world.processes[nemesis.chance.choice(names)]


def kill(nemesis: Nemesis) -> Harm:
    process = some_process(nemesis)
    process.kill("kill -9", bytes_lost=nemesis.chance.random() < 0.3)
    return NOTHING


def kill_at_a_point(nemesis: Nemesis) -> Harm:
    """At the n-th write, sync, send or effect from now on; half of a write may be there."""
    return at_a_point(nemesis, lambda: None)


def power_cut_at_a_point(nemesis: Nemesis) -> Harm:
    """There everything stops: what one has heard another may not have on disk."""
    return at_a_point(nemesis, lambda: nemesis.begin("power_cut"))


def at_a_point(nemesis: Nemesis, strike: Act) -> Harm:
    world, process = nemesis.world, some_process(nemesis)
    kinds = POINTS if process.hands is not None else POINTS[:-1]
    kind, left = nemesis.chance.choice(kinds), nemesis.chance.randint(1, 8)
    process.disk.torn_at = nemesis.chance.randint(1, 60) if kind == "mid-write" else 0

    def point(at: Process, found: str, _data: bytes) -> bool:
        nonlocal left
        left -= at is process and found == kind
        if left > 0:
            return False
        disarm()
        strike()
        return True

    def disarm() -> None:
        process.disk.torn_at = 0
        if world.on_point is point:
            world.on_point = None

    world.on_point = point
    return 10.0, disarm


def pause(nemesis: Nemesis) -> Harm:
    """SIGSTOP; the watchdog kills what stays silent."""
    process, pause_s = some_process(nemesis), nemesis.chance.choice((0.3, 1.0, 2.5, 10.0))
    patience_s, life = nemesis.chance.uniform(*WATCHDOG_S), process.lives
    process.pause()
    stopped_ns = nemesis.world.timeline.host_ns
    until_ns = stopped_ns + seconds(min(pause_s, patience_s))
    nemesis.trouble.append((f"pause of {process.name}", stopped_ns, until_ns))

    def end() -> None:
        if process.lives == life and process.up:
            process.go_on()

    def kill() -> None:
        if process.lives == life and process.up:
            process.kill("the watchdog killed it")

    return (pause_s, end) if pause_s < patience_s else (patience_s, kill)


def power_cut(nemesis: Nemesis) -> Harm:
    """The machine with everything on it: TWS too, and host time starts anew."""
    world = nemesis.world
    names = list(world.processes)
    if nemesis.switched_off:
        return NOTHING  # it is off already
    off_s = nemesis.chance.uniform(8, 15)
    nemesis.switched_off.update(names)
    for process in world.processes.values():
        process.kill("the power is cut", bytes_lost=nemesis.chance.random() < 0.5)
        process.disk.lose_power(nemesis.chance)
    if world.standby is not None:
        world.standby.kill()
    drop(nemesis, "the power is cut", (ORDERS_CLIENT, DATA_CLIENT))
    world.tws.port_open = False
    world.tws.broker.lose_staged()

    def boot() -> None:
        nemesis.switched_off.difference_update(names)
        world.boot_ns = world.timeline.host_ns - seconds(20)
        world.tws.port_open = True
        roll_ids_back(nemesis)
        for process in world.processes.values():
            process.start()
        if world.standby is not None:
            world.standby.start()

    return off_s, boot


def disk_full(nemesis: Nemesis) -> Harm:
    disks = [p.disk for p in nemesis.world.processes.values()]
    if nemesis.chance.random() < 0.5:
        disks = [some_process(nemesis).disk]
    short = nemesis.chance.random() < 0.5
    for disk in disks:
        disk.room_bytes, disk.short_writes = nemesis.chance.choice((0, 100, 5_000)), short

    def freed() -> None:
        for disk in disks:
            disk.room_bytes, disk.short_writes = None, False

    return nemesis.chance.uniform(1, 12), freed


def sync_error(nemesis: Nemesis) -> Harm:
    some_process(nemesis).disk.sync_fails = True
    return NOTHING


def clock_step(nemesis: Nemesis) -> Harm:
    world = nemesis.world
    before_ns = world.clock_off_ns
    off_s = nemesis.chance.choice((-2.5, 2.5, -30.0, 30.0, -3600.0, 3600.0))
    set_clock(nemesis, before_ns + seconds(off_s))
    return nemesis.chance.uniform(4, 15), lambda: set_clock(nemesis, before_ns)


CLOCK_FOUND_S = 12.5  # three of five comparisons, one every five seconds, are after the step


def set_clock(nemesis: Nemesis, off_ns: int) -> None:
    nemesis.world.clock_off_ns = off_ns
    for process in nemesis.world.processes.values():
        hands, pipe = process.hands, process.hands.pipe if process.hands else None
        if hands is not None and pipe is not None:
            process.later(CLOCK_FOUND_S, lambda hands=hands, pipe=pipe: hands.compare_clocks(pipe))  # type: ignore[misc] # defaults bind the loop's values


def bus_late(nemesis: Nemesis) -> Harm:
    link = nemesis.world.bus.links[nemesis.chance.choice(sorted(nemesis.world.bus.links))]
    link.late_ns = seconds(nemesis.chance.choice((0.05, 0.5, 1.5, 3.0)))
    return nemesis.chance.uniform(1, 8), lambda: setattr(link, "late_ns", 0)


def bus_loses(nemesis: Nemesis) -> Harm:
    links = [nemesis.world.bus.links[nemesis.chance.choice(sorted(nemesis.world.bus.links))]]
    if nemesis.chance.random() < 0.3:
        links = list(nemesis.world.bus.links.values())
    share = nemesis.chance.choice((0.2, 0.6, 1.0))
    for link in links:
        link.lose = share

    def end() -> None:
        for link in links:
            link.lose = 0.0

    return nemesis.chance.uniform(0.5, 6), end


def bus_repeats(nemesis: Nemesis) -> Harm:
    """Frames come a second time, after newer ones."""
    links = list(nemesis.world.bus.links.values())
    share = nemesis.chance.choice((0.1, 0.5, 1.0))
    for link in links:
        link.again = share

    def end() -> None:
        for link in links:
            link.again = 0.0

    return nemesis.chance.uniform(2, 20), end


REPEATS = {"bus repeats": Fault(1, bus_repeats)}
MACHINE: dict[str, Fault] = {
    "kill": Fault(12, kill),
    "kill_at_a_point": Fault(22, kill_at_a_point),
    "pause": Fault(10, pause),
    "power_cut": Fault(3, power_cut),
    "power_cut_at_a_point": Fault(5, power_cut_at_a_point),
    "disk_full": Fault(4, disk_full),
    "sync_error": Fault(2, sync_error),
    "clock_step": Fault(3, clock_step),
    "bus_late": Fault(5, bus_late),
    "bus_loses": Fault(6, bus_loses),
}
