"""The wall clock jumps by hours while the server works, and the monotonic clock stays true: no storm, no stall, no retry early."""

import calendar
import time

import pytest

from faults.workload import FLAGS, Workload
from harness import Callhook
from wall_clock import WallClock

# A day's jump would be the end of what is kept for a day, such as an Idempotency-Key: all jumps here are shorter.


@pytest.fixture
def wall_clock(tmp_path) -> WallClock:
    return WallClock(tmp_path)


def hours_off(call: dict) -> float:
    reported = calendar.timegm(time.strptime(call["reported_at"], "%Y-%m-%dT%H:%M:%SZ"))
    return (reported - time.time()) / 3600


def run(receiver, wall_clock: WallClock, hours: list[float], pause: float, note):
    with Callhook(*FLAGS, environment=wall_clock.environment) as callhook, Workload(callhook, receiver) as workload:
        workload.start()
        for offset in hours:
            time.sleep(pause)
            wall_clock.set(offset)
            body = {"status": "completed", "caller_number": "+13055559876", "tracking_number": "+15735551234"}
            asked_at = time.monotonic()
            call = callhook.data("POST", "/calls", body, 201)["call"]
            workload.acknowledged("none", call, asked_at)
            shown = hours_off(call)
            assert abs(shown - offset) < 0.01, f"the server's clock is off by {shown} h and not by {offset} h"
        time.sleep(pause)
        workload.stop()
        before = time.monotonic()
        workload.judge(note)
        note(f"ended {time.monotonic() - before:.1f} s after the load")


@pytest.mark.parametrize("hours", [[3, 0], [-3, 0], [5, -5, 0]], ids=lambda hours: f"{len(hours)} from {hours[0]} h")
def test_the_wall_clock_jumps_under_load(receiver, wall_clock, hours, note):
    run(receiver, wall_clock, hours, 0.8, note)


@pytest.mark.long
@pytest.mark.parametrize("hours", [
    [3], [-3], [20], [-20], [2, 4, 6, 8, 10], [-2, -4, -6, -8, -10], [9, -9, 9, -9, 9, -9], [0.01, -0.01] * 10, [20, 0, -20, 0] * 3,
], ids=lambda hours: f"{len(hours)} from {hours[0]} h")
def test_the_wall_clock_jumps_under_load_for_long(receiver, wall_clock, hours, note):
    run(receiver, wall_clock, hours, 0.5, note)
