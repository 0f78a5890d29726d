"""IB's pacing: whatever a client wants to ask and when, what leaves is within the limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.tws.history_limits import Pacing, daily_duration

Sent = list[tuple[float, int, int]]


def sent_by(wishes: list[tuple[float, int, int]]) -> Sent:
    """(pause before it, request, place) asked one after the other; when each left."""
    pacing, now_s, sent = Pacing(), 1000.0, []
    for pause_s, request, place in wishes:
        now_s += pause_s
        now_s += pacing.wait_s(request, place, now_s)
        assert pacing.wait_s(request, place, now_s) <= 1e-9
        pacing.sent(request, place, now_s)
        sent.append((now_s, request, place))
    return sent


WISHES = st.lists(
    st.tuples(st.floats(0.0, 3.0), st.integers(0, 40), st.integers(0, 2)), max_size=150
)


@given(WISHES)
def test_no_schedule_breaks_a_limit_of_ib(wishes: list[tuple[float, int, int]]) -> None:
    sent = sent_by(wishes)

    for at, (now_s, request, place) in enumerate(sent):
        before = sent[:at]
        assert not [1 for at_s, same, _ in before if same == request and now_s - at_s < 15.0]
        assert len([1 for at_s, _, same in before if same == place and now_s - at_s < 2.0]) < 5
        assert len([1 for at_s, *_ in before if now_s - at_s < 600.0]) < 60


def test_a_lone_request_leaves_at_once_and_its_twin_fifteen_seconds_later() -> None:
    sent = sent_by([(0.0, 1, 1), (0.0, 2, 1), (0.0, 1, 1)])

    assert sent[1][0] == sent[0][0]
    assert 15.0 <= sent[2][0] - sent[0][0] < 15.1


def test_a_long_download_leaves_room_for_a_running_system() -> None:
    sent = sent_by([(1.0, request, 0) for request in range(56)])

    assert sent[53][0] - sent[0][0] < 60.0
    assert sent[54][0] - sent[0][0] >= 600.0


def test_daily_durations_beyond_a_year_are_told_in_years() -> None:
    assert daily_duration(10, 14) == "10 D"
    assert daily_duration(365, 530) == "365 D"
    assert daily_duration(366, 531) == "2 Y"
    assert daily_duration(6600, 9600) == "27 Y"
