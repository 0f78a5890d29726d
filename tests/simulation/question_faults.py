"""TWS leaves one question unanswered for a while: it, or IB behind it, does so now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from tests.simulation.answers import Question, Way
from tests.simulation.fault import NOTHING, Fault, Harm

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis


def unanswered(nemesis: Nemesis, question: Question) -> Harm:
    """Often just when everything is asked anew, after a connection died."""
    answers = nemesis.world.tws.answers
    if answers.silent_on is not None:
        return NOTHING
    way: Way = nemesis.chance.choice(get_args(Way))
    answers.fall_silent(question, way)
    nemesis.world.note(f"--- the answer is {way}")
    if nemesis.chance.random() < 0.5:
        nemesis.begin("connection_dies")
    return nemesis.chance.choice((3.0, 16.0, 34.0)), answers.speak_again


def _fault(question: Question) -> Fault:
    return Fault(1, lambda nemesis: unanswered(nemesis, question))


QUESTIONS: dict[str, Fault] = {
    f"unanswered {question}": _fault(question) for question in get_args(Question)
}
