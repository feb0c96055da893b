"""The wall clock jumps by hours while the server works, and the monotonic clock stays true: no storm, no stall, no retry early."""

import calendar
import time

import pytest

from faults.workload import FLAGS, Workload
from harness import STORE, Callhook, free_port, wait_until
from postgres import Server, environment
from wall_clock import WallClock

# A day's jump would be the end of what is kept for a day, such as an Idempotency-Key: all jumps here are shorter.

# A database's clock is looked at every second.
FOLLOWED_WITHIN_SECONDS = {"sqlite": 0.1, "postgres": 2}


@pytest.fixture
def store(tmp_path):
    """A wall clock, and the environment of a server that goes by it: by the database's, where that holds the store."""
    if STORE == "sqlite":
        wall_clock = WallClock(tmp_path)
        yield wall_clock, wall_clock.environment
        return
    database = Server(free_port(), has_clock=True)
    yield database.wall_clock, environment(tmp_path, database)
    database.close()


def hours_off(call: dict) -> float:
    reported = calendar.timegm(time.strptime(call["reported_at"], "%Y-%m-%dT%H:%M:%SZ"))
    return (reported - time.time()) / 3600


def run(receiver, store, hours: list[float], pause: float, note):
    wall_clock, variables = store
    with Callhook(*FLAGS, environment=variables) as callhook, Workload(callhook, receiver) as workload:

        def shown() -> float:
            body = {"status": "completed", "caller_number": "+13055559876", "tracking_number": "+15735551234"}
            asked_at = time.monotonic()
            call = callhook.data("POST", "/calls", body, 201)["call"]
            workload.acknowledged("none", call, asked_at)
            return hours_off(call)

        workload.start()
        for offset in hours:
            time.sleep(pause)
            wall_clock.set(offset)
            wait_until(lambda: abs(shown() - offset) < 0.01, FOLLOWED_WITHIN_SECONDS[STORE], f"a server that is {offset} h off")
        time.sleep(pause)
        workload.stop()
        if STORE == "postgres":
            # A timer of the database may see the true time within its signal, where faketime cannot read its file, and end a connection early.
            wall_clock.set(0)
        before = time.monotonic()
        workload.judge(note)
        note(f"ended {time.monotonic() - before:.1f} s after the load")


@pytest.mark.parametrize("hours", [[3, 0], [-3, 0], [5, -5, 0]], ids=lambda hours: f"{len(hours)} from {hours[0]} h")
def test_the_wall_clock_jumps_under_load(receiver, store, hours, note):
    run(receiver, store, hours, 0.8, note)


@pytest.mark.long
@pytest.mark.parametrize("hours", [
    [3], [-3], [20], [-20], [2, 4, 6, 8, 10], [-2, -4, -6, -8, -10], [9, -9, 9, -9, 9, -9], [0.01, -0.01] * 10, [20, 0, -20, 0] * 3,
], ids=lambda hours: f"{len(hours)} from {hours[0]} h")
def test_the_wall_clock_jumps_under_load_for_long(receiver, store, hours, note):
    run(receiver, store, hours, 0.5, note)
