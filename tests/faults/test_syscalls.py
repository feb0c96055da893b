"""SIGKILL at single calls of the kernel: between a write and its sync, in the middle of a checkpoint, before an answer is sent."""

import pytest

from faults.test_kills import wait_for_death
from faults.workload import FLAGS, Workload
from harness import Callhook

# What a store and a server do, and at which visit of a thread to it they are killed.
CASES = [
    *(("pwrite64", visits) for visits in (1, 3, 50, 500, 1500)), *(("fdatasync,fsync", visits) for visits in (1, 3, 20, 100)),
    *(("ftruncate", visits) for visits in (1, 2)), *(("sendto,writev,sendmsg", visits) for visits in (1, 20, 200)),
    *(("recvfrom,read", visits) for visits in (30, 300)), *(("unlink", visits) for visits in (1,)),
]


@pytest.mark.long
@pytest.mark.parametrize("calls, visits", CASES)
def test_killed_at_a_call_of_the_kernel(receiver, calls, visits, note):
    """At the calls of a start with work to take up, and of a mixed load."""
    killer = ("strace", "-D", "-f", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={visits}")
    with Callhook(*FLAGS) as callhook, Workload(callhook, receiver, seed=visits) as workload:
        callhook.kill()
        workload.died()
        workload.start()
        callhook.wrapper = killer
        callhook.start(wait=False)
        wait_for_death(callhook, f"visit {visits} to {calls}", 40)
        workload.died()
        workload.stop()
        callhook.wrapper = ()
        callhook.start()
        workload.judge(note)
