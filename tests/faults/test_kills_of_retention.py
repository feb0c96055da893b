"""SIGKILL at every step by which a store that is full of what is past its time removes it: what has ended long ago is not sent again."""

from pathlib import Path

import pytest

from faults.past import Past, live_through
from faults.results import BINARY_WITH_FAIL_POINTS
from faults.test_kills import RETENTION, armed, is_reached, points_of, start_until_death
from faults.workload import Workload

# Reached under any load, and here by what retention removes.
REACHED_BY_RETENTION = [("CallErased", 60), ("WipeBegun", 1), ("LogWiped", 1)]


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    with live_through(tmp_path_factory.mktemp("past"), str(BINARY_WITH_FAIL_POINTS)) as past:
        yield past


def kill_at_retention(receiver, past: Past, folder: Path, point: str, visits: int, note):
    past.copy(folder)
    sent = len(past.receiver.requests)
    past.set_back()
    with armed(folder=folder, environment=past.environment(folder)) as callhook, Workload(callhook, receiver, seed=visits) as workload:
        past.hand_over(callhook, workload)
        assert callhook.stop() == 0
        past.end()
        workload.start()
        start_until_death(callhook, f"{point}@{visits}")
        workload.died()
        workload.stop()
        callhook.start()
        workload.judge(note)
    assert len(past.receiver.requests) == sent, "what had ended long ago was sent again"


@pytest.mark.parametrize("point", [point for point in points_of("Work") if point in RETENTION])
def test_killed_at_a_step_of_retention(receiver, past, tmp_path, point, note):
    kill_at_retention(receiver, past, tmp_path, point, 1, note)


@pytest.mark.long
@pytest.mark.parametrize("point, visits", [
    (point, visits)
    for point, visits in [*((point, visits) for point, (_, *later) in RETENTION.items() for visits in later), *REACHED_BY_RETENTION]
    if is_reached(point)
])
def test_killed_at_a_later_step_of_retention(receiver, past, tmp_path, point, visits, note):
    kill_at_retention(receiver, past, tmp_path, point, visits, note)
