"""The heart of every service: hear, decide, record, say. No socket, no process, no own clock.

For each message heard: evolve the state, decide, write ONE journal record with the event and all
its decisions, evolve by each decision, and only then let anything leave. A restart folds the
journal through the same evolve; a recorded day is judged again through the same decide.

What a decider need not know is done here: sequence numbers and gaps, repeats, facts said again
for late listeners, commands asked again until answered, topics that fall silent.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

from common import topology, wire
from common.clock import SECOND_NS, Clock
from common.fold import Decider, Fold, file_of
from common.journal import Journal
from common.memory import Memory, Open, raw
from common.messages import (
    ANSWERS,
    COMMANDS,
    FACTS,
    Accepted,
    DiskState,
    Heartbeat,
    JournalDamaged,
    Message,
    Now,
    Recap,
    Refused,
    Session,
    Silence,
    Started,
    Tick,
    Unanswered,
)
from common.settings import Settings

log = logging.getLogger(__name__)

REPEAT_NS = SECOND_NS  # host time between two repeats of a kept fact or an open command
CHECKPOINT_RECORDS = 1000  # a restart folds hardly more than so many
SESSIONS_KEPT = 2  # a hearer that was away over a session's turn still gets what it missed
FIRST_FILE = "00000000"  # before any session is known; sorts before every date

_COMMANDS = frozenset(COMMANDS)
_SESSION_TOPICS = frozenset(fact.__name__ for fact in FACTS if topology.keep_of(fact) == "session")


def _is_no_command(numbered: tuple[int, Message]) -> bool:
    return type(numbered[1]) not in _COMMANDS


class Outlet(Protocol):
    """Where decisions leave: sockets and an edge, or a simulated world."""

    def say(self, frame: bytes) -> None: ...
    def ask(self, answerer: str, frame: bytes) -> bool: ...
    def answer(self, peer: bytes, frame: bytes) -> bool: ...
    def perform(self, effect: Message) -> None: ...


class Engine:
    """One service's loop. Construct, `restore`, then feed it what is heard."""

    def __init__(
        self,
        name: str,
        decider: Decider,
        settings: Settings,
        clock: Clock,
        host_ns: Callable[[], int],
        journal: Journal,
        outlet: Outlet,
        build: str,
        boot: str = "",
    ) -> None:
        """`boot`: differs from one start of the machine to the next."""
        self.name = name
        self.decider = decider
        self.settings = settings
        self.state: Any = decider.start(settings)
        self._clock = clock
        self._host_ns = host_ns
        self._journal = journal
        self._outlet = outlet
        self._build = build
        self._boot = boot
        self._settings_hash = settings.hash()
        self._memory = Memory(name)
        self._file = FIRST_FILE
        self._durable: frozenset[type[Message]] = getattr(decider, "DURABLE", frozenset())
        self._may_forget: bool = getattr(decider, "MAY_FORGET", False)
        self._forgetting = False
        self._unsynced = False
        self._since_checkpoint = 0
        self._handling = False
        self._waiting: deque[tuple[Message, str]] = deque()
        self._latest_day = ""
        heard = topology.heard_by(name)
        self._topics_of = {
            speaker: frozenset(fact.__name__ for fact in facts) for speaker, facts in heard.items()
        }
        self._session_speakers = tuple(
            speaker
            for speaker, facts in heard.items()
            if any(topology.keep_of(fact) == "session" for fact in facts)
        )
        self._silence_ns = {
            fact.__name__: int(said.silence_s_max * SECOND_NS)
            for fact, said in topology.FACTS.items()
            if name in said.hearers and said.silence_s_max is not None
        }
        self._recaps: dict[str, int] = {}
        self._silent: set[str] = set()
        self._spoken_ns: dict[str, int] = {}
        self._speakers_heard: dict[str, int] = {}
        self._repeat_ns = 0
        self._roomy: bool | None = None  # a state that was folded may hold another word
        self.dropped = 0
        """Messages refused at the door since the start: malformed, foreign or out of table."""

    # --- start -------------------------------------------------------------------------------

    def restore(self, fold: Fold | None = None) -> int:
        """Folds the newest journal file, says Started; returns the number of records folded.

        `fold`: what a standby has folded so far; it is read to its end. A damaged file is folded up
        to the damage, set aside, and the decider hears where.
        """
        fold = fold or Fold(self.name, self.decider, self.settings, self._journal.disk)
        damage = fold.read_on(self._journal.folder)
        self.state, self._memory = fold.state, fold.memory
        self._latest_day = fold.latest_day
        if damage is not None:
            self._journal.set_aside(damage.path, f"damaged-{self._host_ns()}")
            self._begin_epoch(damage.path.stem)
        elif fold.path is None:
            self._begin_epoch(FIRST_FILE)
        else:
            self._go_on(fold, fold.path)
        self._recaps = dict.fromkeys(self._session_speakers, 0)
        self._spoken_ns = dict.fromkeys(self._silence_ns, self._host_ns())
        if damage is not None:
            log.error("%s", damage)
            self.hear_local(
                JournalDamaged(file=damage.path.name, offset=damage.offset, why=damage.why)
            )
        self.hear_local(Started(settings_json=self.settings.to_json()))
        return fold.records

    def _begin_epoch(self, file: str) -> None:
        """A journal without a past. Numbers said before it are forgotten: under the old epoch the
        next ones would be taken for repeats."""
        self._renew_epoch()
        self._begin_file(file)

    def _renew_epoch(self) -> None:
        self._memory.epoch = max(self._memory.epoch + 1, self._clock.now_ns())

    def _go_on(self, fold: Fold, path: Path) -> None:
        self._file = path.stem
        self._since_checkpoint = fold.records
        torn = self._journal.open(path, fold.sound_bytes)
        if torn:
            log.warning("cut a torn tail of %d bytes from %s", torn, path.name)
        rebooted = fold.boot != self._boot or fold.host_ns > self._host_ns()
        if rebooted:
            # A power cut takes what was not synced yet, and others may have heard it: said again
            # under the old epoch, its numbers would be taken for repeats.
            self._renew_epoch()
        if self._latest_day > self._file:
            self._begin_file(self._latest_day)
        elif rebooted:
            self._checkpoint()  # the next restart must know the new epoch
        elif (fold.build, fold.settings_json) != (self._build, self.settings.to_json()):
            self._checkpoint()  # a standby sees by it what runs now

    def _checkpoint(self) -> None:
        self._since_checkpoint = 0
        self._write(self._journal.checkpoint, self._header(), whole=True)

    def _write(self, write: Callable[..., object], *what: Any, whole: bool = False) -> None:
        """Writes to the journal. A decider with MAY_FORGET, by which no order stands, goes on where
        that fails, until all it knows is written again (`whole`)."""
        if self._forgetting and not whole:
            return
        try:
            write(*what)
        except OSError as error:
            if not self._may_forget:
                raise
            if not self._forgetting:
                log.error("goes on without a journal: %s", error)  # noqa: TRY400  (no room: one line)
            self._forgetting = True
        else:
            self._forgetting = False

    # --- hearing -----------------------------------------------------------------------------

    def hear(self, kind: str, peer: bytes, frame: bytes) -> None:
        """One frame from the bus. What is malformed or not in the table is counted and dropped."""
        try:
            if kind == "fact":
                self._hear_fact(wire.decode_fact(frame))
            elif kind == "command":
                self._hear_command(wire.decode_command(frame), peer)
            else:
                self._hear_answer(wire.decode_answer(frame))
        except wire.WireError as error:
            self._drop(f"{kind}: {error}")

    def hear_local(self, message: Message, source: str = "") -> None:
        """A message of the loop itself, or of the service's own edge (`source` "tws")."""
        self._handle(message, source)

    def _hear_fact(self, envelope: wire.Envelope[Any]) -> None:
        body, speaker = envelope.body, envelope.speaker
        kind = type(body)
        if not topology.speaks(speaker, kind):
            self._drop(f"{speaker} may not say {kind.__name__}")
            return
        self._speakers_heard[speaker] = now_ns = self._host_ns()
        if kind is Heartbeat:
            self._notice_gaps(speaker, envelope.epoch, body)
            if self.name in topology.HEARTBEAT_HEARERS:
                self._handle(body, speaker)
            return
        topic = kind.__name__
        self._speaks(topic, now_ns)
        epoch, seq = self._memory.heard.get((speaker, topic), (0, 0))
        if epoch != envelope.epoch:
            seq = 0
        if envelope.seq <= seq:
            return
        in_order = envelope.seq == max(seq + 1, envelope.floor)
        if not in_order and topology.keep_of(kind) == "session":
            self._recaps[speaker] = self._recaps.get(speaker, 0)
            return
        self._memory.heard[(speaker, topic)] = (envelope.epoch, envelope.seq)
        self._handle(body, speaker, envelope.epoch, envelope.seq)

    def _hear_command(self, envelope: wire.Envelope[Any], peer: bytes) -> None:
        command = envelope.body
        row = topology.COMMANDS[type(command)]
        if envelope.speaker not in row.askers or self.name not in row.answerers:
            self._drop(f"{envelope.speaker} may not ask {type(command).__name__} here")
            return
        if isinstance(command, Recap):
            self._say_again()
            self._answer(peer, Accepted(key=command.key, note=""))
            return
        if command.deadline_ns and self._clock.now_ns() > command.deadline_ns:
            self._answer(peer, Refused(key=command.key, reason="too late: past its deadline"))
            return
        self._handle(command, envelope.speaker, peer=peer)

    def _hear_answer(self, envelope: wire.Envelope[Any]) -> None:
        answer, answerer = envelope.body, envelope.speaker
        if answer.key == self._recap_key(answerer):
            self._recaps.pop(answerer, None)
            return
        if self._memory.open.pop((answerer, answer.key), None) is not None:
            self._handle(answer, answerer)

    def tick(self) -> None:
        """Time has passed: repeats, deadlines, silences, and the decider's own Tick."""
        now_ns = self._host_ns()
        for topic, limit_ns in self._silence_ns.items():
            if now_ns - self._spoken_ns[topic] > limit_ns and topic not in self._silent:
                self._silent.add(topic)
                self.hear_local(Silence(topic=topic, silent=True))
        if now_ns - self._repeat_ns >= REPEAT_NS:
            self._repeat_ns = now_ns
            self._say_last_again()
        self._ask_again(now_ns)
        self.hear_local(Tick())
        if self._since_checkpoint >= CHECKPOINT_RECORDS or self._forgetting:
            self._checkpoint()

    def disk_state(self, free_mb: float) -> None:
        """The driver's look at the journal's disk, a few times a minute."""
        roomy = free_mb >= self.settings.operation.disk_free_mb_min
        if roomy and self._journal.reserve_spent:
            self._journal.make_reserve()
        roomy = roomy and not self._journal.reserve_spent
        if roomy != self._roomy:
            self._roomy = roomy
            self.hear_local(DiskState(roomy=roomy, free_mb=free_mb))

    def heartbeat(self, pid: int) -> None:
        """Says that the work loop has completed a cycle."""
        next_seq = self._memory.next_seq.items()
        said = tuple([(topic, seq - 1) for topic, seq in next_seq if topic in _SESSION_TOPICS])
        verdict = self.unready()
        beat = Heartbeat(
            pid=pid,
            ready=not verdict,
            busy=self.busy(),
            caught_up_ns=self._clock.now_ns(),
            build=self._build,
            settings_hash=self._settings_hash,
            verdict=verdict,
            said=said,
        )
        self._outlet.say(wire.encode_fact(self._envelope(beat, 0)))

    def busy(self) -> bool:
        """Whether a command of ours is open, or the decider has an order or question under way."""
        return bool(self._memory.open) or bool(self.decider.busy(self.state))

    def unready(self) -> str:
        """Why this service is not ready, or ""."""
        for speaker in self._recaps:
            alive_ns = self._host_ns() - 2 * REPEAT_NS
            if speaker in topology.DECIDERS and self._speakers_heard.get(speaker, 0) > alive_ns:
                return f"catching up with {speaker}"
        return str(self.decider.ready(self.state))

    def settle(self) -> None:
        """After a batch: what was decided on is made to survive a power cut."""
        if self._unsynced:
            self._write(self._journal.sync)
            self._unsynced = False

    # --- deciding ----------------------------------------------------------------------------

    def _handle(
        self, message: Message, source: str, epoch: int = 0, seq: int = 0, peer: bytes = b""
    ) -> None:
        if self._handling:  # an edge that answers from within perform() waits for its turn
            self._waiting.append((message, source))
            return
        self._handling = True
        try:
            self._judge(message, source, epoch, seq, peer)
        finally:
            self._handling = False
        while self._waiting:
            waiting, source = self._waiting.popleft()
            self._handle(waiting, source)

    def _judge(self, message: Message, source: str, epoch: int, seq: int, peer: bytes) -> None:
        now = Now(self._clock.now_ns(), self._host_ns())
        decider, state = self.decider, self.state
        decider.evolve(state, now, message)
        outputs = decider.decide(state, now, message)
        kind = type(message)
        if not outputs and (kind is Tick or kind is Heartbeat):
            return
        numbered = tuple([(self._number(output), output) for output in outputs])
        record = wire.Record(now, source, epoch, seq, message, numbered)
        self._write(self._journal.append, wire.encode_any(record))
        self._since_checkpoint += 1
        if outputs:
            self._carry_out(now, numbered, peer)
        if peer and not any(isinstance(output, ANSWERS) for output in outputs):
            log.error("%s was not answered by the decider", kind.__name__)
        for said in (message, *outputs):
            if type(said) is Session:
                self._latest_day = max(self._latest_day, file_of(said))
        if self._latest_day > self._file:
            self._begin_file(self._latest_day)

    def _carry_out(self, now: Now, numbered: Sequence[tuple[int, Message]], peer: bytes) -> None:
        """What was decided and is written becomes state, then leaves."""
        self._unsynced = True
        if self._durable and any(type(output) in self._durable for _, output in numbered):
            self.settle()
        for _, output in numbered:
            self.decider.evolve(self.state, now, output)
        # Commands leave first: a stop order does not wait for the facts that explain it.
        for number, output in sorted(numbered, key=_is_no_command):
            self._send(output, number, peer)

    def _number(self, output: Message) -> int:
        if not topology.speaks(self.name, type(output)):
            return 0
        topic = type(output).__name__
        seq = self._memory.next_seq.get(topic, 1)
        self._memory.next_seq[topic] = seq + 1
        return seq

    def _send(self, output: Message, seq: int, peer: bytes) -> None:
        if seq:
            self._memory.keep(self._file, seq, output)
            self._outlet.say(wire.encode_fact(self._envelope(output, seq)))
        elif isinstance(output, ANSWERS):
            if peer:
                self._answer(peer, output)
        elif isinstance(output, COMMANDS):
            for opened in self._memory.open_command(output):
                self._ask(opened)
        else:
            self._outlet.perform(output)

    def _ask(self, waiting: Open) -> None:
        frame = wire.encode(self._envelope(waiting.command, 0))
        sent = self._outlet.ask(waiting.answerer, frame)
        waiting.ask_again_ns = self._host_ns() + REPEAT_NS if sent else 0

    def _ask_again(self, now_ns: int) -> None:
        market_ns = self._clock.now_ns() if self._memory.open else 0
        for waiting in list(self._memory.open.values()):
            deadline_ns = waiting.command.deadline_ns
            if deadline_ns and market_ns > deadline_ns:
                command = waiting.command
                self._memory.drop_open(command.key)
                self.hear_local(Unanswered(key=command.key, command=type(command).__name__))
            elif now_ns >= waiting.ask_again_ns:
                self._ask(waiting)
        for speaker, ask_ns in self._recaps.items():
            if now_ns >= ask_ns:
                recap = Recap(key=self._recap_key(speaker), deadline_ns=0)
                sent = self._outlet.ask(speaker, wire.encode(self._envelope(recap, 0)))
                self._recaps[speaker] = now_ns + REPEAT_NS if sent else 0

    def _answer(self, peer: bytes, answer: Message) -> None:
        self._outlet.answer(peer, wire.encode(self._envelope(answer, 0)))

    # --- saying again ------------------------------------------------------------------------

    def _say_last_again(self) -> None:
        for kept in self._memory.last.values():
            self._outlet.say(wire.encode_fact(self._envelope(kept.message, kept.seq)))

    def _say_again(self) -> None:
        self._say_last_again()
        for kept in self._memory.session:
            self._outlet.say(wire.encode_fact(self._envelope(kept.message, kept.seq)))

    def _envelope(self, body: Any, seq: int) -> wire.Envelope[Any]:
        floor = 0
        if seq and topology.keep_of(type(body)) == "session":
            kind = type(body)
            floor = next((k.seq for k in self._memory.session if type(k.message) is kind), seq)
        return wire.Envelope(
            wire.WIRE_VERSION,
            self.name,
            self._memory.epoch,
            seq,
            floor,
            self._clock.now_ns(),
            body,
        )

    def _notice_gaps(self, speaker: str, epoch: int, beat: Heartbeat) -> None:
        mine = self._topics_of.get(speaker, frozenset())
        for topic, said in beat.said:
            if topic in mine and said:
                heard_epoch, seq = self._memory.heard.get((speaker, topic), (0, 0))
                if (heard_epoch != epoch or seq < said) and speaker not in self._recaps:
                    self._recaps[speaker] = 0

    def _recap_key(self, speaker: str) -> str:
        return f"recap-{self.name}-{speaker}"

    # --- sessions and silences ---------------------------------------------------------------

    def _begin_file(self, name: str) -> None:
        """A session begins a new journal file, headed by the state that all before it led to."""
        names = sorted({kept.file for kept in self._memory.session} | {name})
        kept_from = names[-SESSIONS_KEPT:][0]
        self._memory.session = [k for k in self._memory.session if k.file >= kept_from]
        self._file = name
        self._since_checkpoint = 0
        self._write(self._journal.begin, name, self._header(), whole=True)
        if name != FIRST_FILE:
            kept = timedelta(days=self.settings.operation.journal_days_kept)
            self._journal.delete_before(f"{date.fromisoformat(name) - kept:%Y%m%d}")

    def _header(self) -> bytes:
        """Everything a fold needs to begin from here."""
        header = wire.Header(
            version=wire.WIRE_VERSION,
            service=self.name,
            build=self._build,
            now=Now(market_ns=self._clock.now_ns(), host_ns=self._host_ns()),
            settings_json=self.settings.to_json(),
            loop=self._memory.loop_state(),
            state=raw(self.state),
            boot=self._boot,
        )
        return wire.encode_any(header)

    def _speaks(self, topic: str, now_ns: int) -> None:
        if topic in self._spoken_ns:
            self._spoken_ns[topic] = now_ns
            if topic in self._silent:
                self._silent.discard(topic)
                self.hear_local(Silence(topic=topic, silent=False))

    def _drop(self, why: str) -> None:
        self.dropped += 1
        if self.dropped <= 20 or self.dropped % 1000 == 0:
            log.warning("dropped message %d: %s", self.dropped, why[:300])
