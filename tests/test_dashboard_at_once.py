"""What comes twice, at the same time, or without an end at the dashboard: forms sent twice, two people at one thing, answers that nobody reads."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from harness import Callhook, wait_until
from visitor import Browser, Visitor, invited


@pytest.fixture(scope="module")
def server():
    with Callhook("--retry-delays=1h") as callhook:
        yield callhook


def version(admin: Visitor, page: str) -> str:
    return re.search(r'name="version" value="(\d+)"', admin.get(page).text)[1]


def at_once(*calls) -> list:
    with ThreadPoolExecutor(len(calls)) as threads:
        return [answer.result() for answer in [threads.submit(call) for call in calls]]


def test_of_two_who_save_one_flow_at_once_the_second_is_told(server, admin):
    page = f"{admin.home}/call-flows/{server.flow()['id']}"
    other = invited(admin, "bob@example.com", "member")
    for round in range(5):
        seen = version(admin, page)
        form = lambda who: {"name": f"{who} {round}", "version": seen}
        answers = at_once(lambda: admin.post(page, form("Ada")), lambda: other.post(page, form("Bob")))
        assert sorted(answer.status_code for answer in answers) == [303, 422]
        refused = next(answer for answer in answers if answer.status_code == 422)
        assert "changed by somebody else meanwhile" in refused.text


def test_who_is_told_of_a_mistake_is_still_told_of_anothers_change(server, admin):
    page = f"{admin.home}/call-flows/{server.flow()['id']}"
    stale = version(admin, page)
    assert admin.post(page, {"name": "Bob's", "version": stale}).status_code == 303
    mistaken = admin.post(page, {"name": "Ann's", "retry_delays": "soon", "version": stale})
    assert mistaken.status_code == 422 and "somebody else" not in mistaken.text
    shown = re.search(r'name="version" value="(\d+)"', mistaken.text)[1]
    told = admin.post(page, {"name": "Ann's", "version": shown})
    assert told.status_code == 422 and "changed by somebody else meanwhile" in told.text
    shown = re.search(r'name="version" value="(\d+)"', told.text)[1]
    assert admin.post(page, {"name": "Ann's", "version": shown}).status_code == 303


def test_a_secret_is_made_once_for_a_page(server, admin):
    page = f"{admin.home}/call-flows/{server.flow()['id']}"
    form = {"version": version(admin, page)}
    answers = at_once(*[lambda: admin.post(f"{page}/rotate-secret", form)] * 3)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert sum("whsec_" in answer.text for answer in answers) == 1
    assert "whsec_" in admin.post(f"{page}/rotate-secret", {"version": version(admin, page)}).text


def test_a_form_is_sent_once_however_often_its_button_is_pressed(server, admin):
    keys = lambda: len(server.data("GET", "/api-keys")["api_keys"])
    before = keys()
    with Browser(server.base) as browser:
        browser.become(admin)
        for made in (1, 2):
            browser.open(f"{admin.home}/settings")
            browser.driver.execute_script("""
                const form = document.querySelector('form[action$="/settings/keys"]');
                form.closest("details")?.setAttribute("open", "");
                form.elements.name.value = "Zapier";
                for (let press = 0; press < 3; press += 1) form.querySelector("button").click();
            """)
            browser.wait_until(lambda: "shown this once" in browser.text(), "the key")
            assert keys() == before + made


def test_exports_that_nobody_reads_are_few_and_end(server, admin):
    flow = server.flow()
    calls = [{"call_flow_id": flow["id"], "caller_number": "+13055559876", "status": "completed", "duration_seconds": 60,
              "transcription": "Hello " * 4_000} for _ in range(500)]
    for _ in range(2):
        server.data("POST", "/calls/batch", {"calls": calls})
    address = urlsplit(server.base)
    cookie = "; ".join(f"{name}={value}" for name, value in admin.session.cookies.items())
    with ExitStack() as open_ones:
        def begin() -> socket.socket:
            client = open_ones.enter_context(socket.create_connection((address.hostname, address.port), timeout=30))
            client.sendall(f"GET {admin.home}/calls/export HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: {cookie}\r\n\r\n".encode())
            return client

        clients = [begin() for _ in range(4)]
        assert all(client.recv(12) == b"HTTP/1.1 200" for client in clients)
        refused = admin.get(f"{admin.home}/calls/export")
        assert refused.status_code == 503 and "wait until one has ended" in refused.text
        server.call("GET", "/calls/export", expect=503)
        clients[0].close()
        wait_until(lambda: admin.get(f"{admin.home}/calls/export?status=busy").status_code == 200, what="a place")


def test_forms_that_do_not_end_take_no_more_than_their_places(server, admin):
    address = urlsplit(server.base)
    with ExitStack() as open_ones:
        def begin(address_of: str) -> socket.socket:
            client = open_ones.enter_context(socket.create_connection((address.hostname, address.port), timeout=30))
            client.sendall((f"POST /sign-in HTTP/1.1\r\nHost: {address.netloc}\r\nOrigin: {server.base}\r\nX-Forwarded-For: {address_of}\r\n"
                            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nemail=a").encode())
            return client

        clients = [begin("203.0.113.7") for _ in range(33)]
        told = lambda client: client.recv(12)
        refused = []
        for client in clients:
            client.settimeout(0.2)
            try:
                refused.append(told(client))
            except TimeoutError:
                pass
        assert refused == [b"HTTP/1.1 503"]
        assert Visitor(server.base).sign_in("nobody@example.com").status_code == 401, "from elsewhere"
