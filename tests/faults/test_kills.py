"""SIGKILL at every named step and at random, under a mixed load: nothing acknowledged is lost, only what was in flight comes twice.

With `CALLHOOK_TEST_STORE=postgres` the store lies in a database, and the steps are those that its engine has.
"""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from earlier import STEPS, goes_on, in_the_store
from faults.results import BINARY_WITH_FAIL_POINTS
from faults.workload import FLAGS, Workload
from harness import BINARY, STORE, Callhook

VARIABLE = "CALLHOOK_FAIL_POINT"
# The tables are made once in a store's life; all else is done again at each start.
ONCE = "TablesBroughtUpToDate"
HITS_LATER = (7, 40)
# A job has work left once in some hundred requests, and the log is emptied once in a second.
SELDOM = ("JobStepDone", "JobLeft", "WipeBegun", "LogWiped")
HITS_LATER_OF_SELDOM = (2, 3)
# Reached by a server that starts with something past its time; what is a step of many, also later.
RETENTION = {
    "UpkeepStepDone": (1,), "PayloadsPurged": (1, 2), "CallsPurged": (1, 3), "SamplesPurged": (1, 2), "StatisticsPurged": (1,), "SpaceGivenBack": (1, 2),
}
# What the embedded store does to its file and its log: a database does that by itself.
OF_THE_FILE = {
    "StoreCheckpointed", "SpaceGivenBack", "RemainsRemoved", "WipeBegun", "LogWiped", "CheckpointBegun", "CheckpointCopied", "CheckpointEnded",
    "LastCheckpointDone",
}


def fail_points() -> list[tuple[str, str]]:
    """The program's own list, so that none can be forgotten."""
    if not BINARY_WITH_FAIL_POINTS.exists():
        return []
    listed = subprocess.run([BINARY_WITH_FAIL_POINTS], env={VARIABLE: "list"}, capture_output=True, text=True, check=True)
    return [tuple(line.split()) for line in listed.stdout.splitlines()]


def is_reached(point: str) -> bool:
    return STORE == "sqlite" or point not in OF_THE_FILE


def points_of(part: str) -> list[str]:
    return [point for point, of in fail_points() if of == part and is_reached(point)]


def armed(**options) -> Callhook:
    return Callhook(*FLAGS, binary=str(BINARY_WITH_FAIL_POINTS), **options)


def wait_for_death(callhook: Callhook, where: str, seconds: float = 30):
    try:
        status = callhook.process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{where} was not reached within {seconds} s") from None
    assert status == -signal.SIGKILL, f"ended with {status}: {callhook.log_text()}"


def start_until_death(callhook: Callhook, plan: str, seconds: float = 30):
    callhook.environment[VARIABLE] = plan
    callhook.start(wait=False)
    wait_for_death(callhook, plan, seconds)
    del callhook.environment[VARIABLE]


def test_there_are_points_to_be_killed_at():
    assert len(fail_points()) > 30, f"build {BINARY_WITH_FAIL_POINTS} first: scripts/test --prepare does"
    named = RETENTION.keys() | OF_THE_FILE | {ONCE, *SELDOM}
    assert not named - dict(fail_points()).keys(), "a point that the program does not have"


def test_what_is_shipped_has_no_fail_point():
    shipped, with_points = Path(BINARY).read_bytes(), BINARY_WITH_FAIL_POINTS.read_bytes()
    for word in [VARIABLE, *(point for point, _ in fail_points())]:
        assert word.encode() in with_points
        assert word.encode() not in shipped, word
    environment = {VARIABLE: "list"}
    answer = subprocess.run([BINARY, "--version"], env=environment, capture_output=True, text=True, check=True).stdout
    assert answer.startswith("callhook ")


@pytest.mark.parametrize("point", points_of("Start"))
def test_killed_at_a_step_of_the_start(receiver, point, note):
    with armed(environment={VARIABLE: f"{point}@1"}, wait=False) as callhook:
        wait_for_death(callhook, point)
        del callhook.environment[VARIABLE]
        callhook.start()
        with Workload(callhook, receiver) as workload:
            workload.start()
            time.sleep(0.5)
            callhook.kill()
            workload.died()
            if point != ONCE:
                start_until_death(callhook, f"{point}@1")
                workload.died()
            callhook.start()
            workload.stop()
            workload.judge(note)


@pytest.mark.parametrize("steps_done", range(1, STEPS))
def test_killed_between_steps_of_the_tables(receiver, tmp_path, steps_done):
    plan = {VARIABLE: f"{ONCE}@{steps_done}"}
    with armed(folder=tmp_path, environment=in_the_store(tmp_path, receiver) | plan, wait=False) as callhook:
        wait_for_death(callhook, plan[VARIABLE])
        assert not receiver.requests
        del callhook.environment[VARIABLE]
        callhook.start()
        goes_on(callhook, receiver)


def kill_at_work(receiver, point: str, visits: int, note):
    with armed() as callhook, Workload(callhook, receiver, seed=visits) as workload:
        assert callhook.stop() == 0
        workload.start()
        start_until_death(callhook, f"{point}@{visits}", 120 if point in SELDOM or STORE == "postgres" else 30)
        workload.died()
        workload.stop()
        callhook.start()
        workload.judge(note)


@pytest.mark.parametrize("point", [point for point in points_of("Work") if point not in RETENTION])
def test_killed_at_a_step_of_the_work(receiver, point, note):
    kill_at_work(receiver, point, 1, note)


def later() -> list[tuple[str, int]]:
    points = [point for point in points_of("Work") if point not in RETENTION]
    return [(point, visits) for point in points for visits in (HITS_LATER_OF_SELDOM if point in SELDOM else HITS_LATER)]


@pytest.mark.long
@pytest.mark.parametrize("point, visits", later())
def test_killed_at_a_later_step_of_the_work(receiver, point, visits, note):
    kill_at_work(receiver, point, visits, note)


@pytest.mark.parametrize("point", points_of("Stop"))
def test_killed_at_a_step_of_the_stop(receiver, point, note):
    with armed() as callhook, Workload(callhook, receiver) as workload:
        callhook.kill()
        callhook.environment[VARIABLE] = f"{point}@1"
        callhook.start()
        workload.start()
        time.sleep(0.5)
        callhook.process.send_signal(signal.SIGTERM)
        wait_for_death(callhook, point)
        workload.died()
        del callhook.environment[VARIABLE]
        workload.stop()
        callhook.start()
        workload.judge(note)


def kill_at_random(receiver, seed: int, kills: int, note):
    chance = random.Random(seed)
    with Callhook(*FLAGS) as callhook, Workload(callhook, receiver, seed) as workload:
        for _ in range(kills):
            workload.start()
            time.sleep(chance.uniform(0.05, 0.6))
            callhook.kill()
            workload.died()
            workload.stop()
            callhook.restart()
        workload.judge(note)


def test_killed_at_random_under_load_nothing_acknowledged_is_lost(receiver, note):
    kill_at_random(receiver, 7, 6, note)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_killed_ten_times_at_random_under_load(receiver, seed, note):
    kill_at_random(receiver, seed, 10, note)
