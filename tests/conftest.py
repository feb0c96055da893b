"""Fixtures: a server and a receiver for tests that need nothing special of them."""

import pytest

from harness import Callhook, Receiver


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def shared():
    """One server for the tests of a module that do not stop it. Retries come after a second, the fallback after two."""
    with Callhook("--retry-delays=1s,1s", "--ai-fallback=2s") as callhook:
        yield callhook
