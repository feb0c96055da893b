"""Fixtures: a server and a receiver for tests that need nothing special of them. Options of the long matrix of faults."""

import pytest

import postgres
from harness import STORE, Callhook, Receiver, free_port
from visitor import first
from wall_clock import WallClock


def pytest_collection_modifyitems(items):
    """What is about the embedded store's files has nothing to look at where the store lies in a database."""
    for item in items if STORE == "postgres" else []:
        if item.get_closest_marker("embedded"):
            item.add_marker(pytest.mark.skip(reason="about the embedded store's files"))


def pytest_addoption(parser):
    group = parser.getgroup("callhook")
    group.addoption("--long", action="store_true", help="run the long cases as well, and keep what passed")
    group.addoption("--again", action="store_true", help="with --long: also run what has passed with this binary")


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def clocked(tmp_path):
    """A wall clock, and what makes a server on the test's folder live by it: its database too, which gives the times that are stored."""
    if STORE != "postgres":
        wall_clock = WallClock(tmp_path)
        yield wall_clock, wall_clock.environment
        return
    database = postgres.Server(free_port(), has_clock=True, fsync="off")
    yield database.wall_clock, database.wall_clock.environment | postgres.environment(tmp_path, database)
    database.close()


@pytest.fixture(scope="module")
def shared():
    """One server for the tests of a module that do not stop it. Retries come after a second, the fallback after two."""
    with Callhook("--retry-delays=1s,1s", "--ai-fallback=2s") as callhook:
        yield callhook


@pytest.fixture(scope="module")
def server():
    """One server for the pages that a module looks at; a module that needs options has its own."""
    with Callhook() as callhook:
        yield callhook


@pytest.fixture(scope="module")
def admin(server):
    """Its first user."""
    return first(server)
