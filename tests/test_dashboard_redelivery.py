"""Sent again: one now, and all that match a filter: how far that is, live and without scripts, what it came to, and what is refused."""

import re

import pytest

from harness import STORE, Callhook, Receiver, wait_until
from visitor import Browser, Texts, first, flaws_of_html, invited

# More than two steps.
MANY = 1_200


@pytest.fixture(scope="module")
def endpoint():
    with Receiver(lambda received: (200, {}, b"taken")) as receiver:
        yield receiver


def many_cancelled(server: Callhook, url: str) -> dict:
    """A flow with so many deliveries that were cancelled before anything was sent."""
    flow = server.flow(url, wait_for_ai=True)
    report = {"status": "completed", "caller_number": "+13055559876", "call_flow_id": flow["id"]}
    for _ in range(MANY // 400):
        server.data("POST", "/calls/batch", {"calls": [report] * 400})
    for enabled in (False, True):
        server.data("PATCH", f"/call-flows/{flow['id']}", {"post_call_webhook": {"enabled": enabled}})
        wait_until(lambda: not server.deliveries(call_flow_id=flow["id"], status="waiting_for_ai"), what="the cancellation")
    return flow


class Held:
    """While it is held, what goes on in the background does not, as after a step that failed."""

    def __init__(self, server: Callhook):
        self.server = server
        if STORE == "postgres":
            server.sql("CREATE FUNCTION hold() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN new.not_before := new.not_before + 3600000; RETURN new; END'",
                       "CREATE TRIGGER hold BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION hold()")
        else:
            server.sql("CREATE TRIGGER hold AFTER INSERT ON jobs BEGIN UPDATE jobs SET not_before = not_before + 3600000 WHERE id = new.id; END")

    def let_go(self):
        remove = "DROP FUNCTION IF EXISTS hold CASCADE" if STORE == "postgres" else "DROP TRIGGER IF EXISTS hold"
        self.server.sql(remove, "UPDATE jobs SET not_before = 0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.let_go()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_whoever_redelivers_many_sees_how_far_it_is_and_what_it_came_to(scripts, server, admin, endpoint, tmp_path):
    flow = many_cancelled(server, endpoint.base)
    colleague = invited(admin, f"viewer-{scripts}@example.com".lower(), "viewer")
    of, so_far = ("1,200", "500 of 1,200") if scripts else ("1200", "500 of 1200")
    with Held(server) as held, Browser(server.base, scripts=scripts) as browser:
        browser.become(admin)
        browser.open(f"{admin.home}/deliveries?status=cancelled&call_flow_id={flow['id']}")
        browser.press("Redeliver all that match …")
        browser.wait_for(f"{of} would be sent again")
        browser.press(f"Redeliver {of}")
        browser.wait_for(f"{so_far} are sent again so far")
        page = browser.path
        assert re.fullmatch(r"/b/[0-9a-f-]{36}/redeliveries/[0-9a-f-]{36}", page)
        # In one go: what is live may be drawn anew in between.
        value, most, label = browser.driver.execute_script("""const bar = document.querySelector('progress')
            return [bar.value, bar.max, document.getElementById(bar.getAttribute('aria-labelledby')).textContent]""")
        assert (value, most) == (500, 1200) and "500 of" in label
        assert "A step failed (the log says why)." in browser.text() and re.search(r"It goes on by itself in (59:|60:00|1:00:00)", browser.text())
        assert "State: cancelled" in browser.text() and "Call flow: Google Ads" in browser.text() and "by Ada" in browser.text()
        assert "aria-live" not in browser.driver.page_source and 'role="status"' not in browser.driver.page_source
        # Whoever of the business looks sees the same, and finds it from the list.
        seen = colleague.get(page).text
        assert "500" in seen and 'max="1200"' in seen
        found = colleague.get(f"{admin.home}/deliveries").text
        assert "A redelivery is under way." in found and f'href="{page}"' in found
        assert flaws_of_html({"page": seen, "list": found, "all": colleague.get(f"{admin.home}/redeliveries").text}, tmp_path) == ""
        if scripts:
            assert browser.barriers() == [] and browser.complaints() == []
            browser.driver.execute_script("window.marked = true")
        else:
            assert "Look again how far it is" in browser.text()
        held.let_go()
        if scripts:
            browser.wait_for(f"{of} were sent again.")
            assert browser.driver.execute_script("return window.marked"), "it was not loaded again"
        else:
            def ended():
                browser.driver.refresh()
                return f"{of} were sent again." in browser.text()

            browser.wait_until(ended, "the end")
        assert not browser.all("progress") and "no longer matched" not in browser.text() and "Left out" not in browser.text()
        browser.press("All redeliveries")
        browser.wait_until(lambda: of in browser.text("#redeliveries tbody tr"), "the redelivery among others")
    assert "A redelivery is under way." not in colleague.get(f"{admin.home}/deliveries").text
    assert server.data("GET", f"/redeliveries/{page.rsplit('/', 1)[1]}")["redelivery"]["redelivered"] == MANY


def test_one_that_is_killed_between_two_steps_is_counted_exactly(endpoint):
    with Callhook() as server:
        visitor = first(server)
        flow = many_cancelled(server, f"{endpoint.base}/killed")
        ask = lambda: server.data("POST", "/webhook-deliveries/redeliver", {"filter": {"call_flow_id": flow["id"]}}, 202, headers={"Idempotency-Key": "once"})
        with Held(server) as held:
            begun = ask()
            assert begun["redelivered"] == MANY
            server.kill()
            server.restart()
            assert ask() == begun
            page = f"{visitor.home}/redeliveries/{begun['redelivery_id']}"
            assert "by the API key" in visitor.get(page).text and 'value="500"' in visitor.get(page).text
            # Of a flow that is deleted, what has not had its turn is left out.
            server.call("DELETE", f"/call-flows/{flow['id']}", expect=204)
            held.let_go()
            read = lambda: server.data("GET", f"/redeliveries/{begun['redelivery_id']}")["redelivery"]
            ended = wait_until(lambda: read()["status"] == "ended" and read(), what="the end")
        assert (ended["redelivered"], ended["skipped"], ended["skipped_for"]["switched_off"]) == (500, 700, 700)
        words = str(Texts(visitor.get(page).text))
        assert "500 were sent again. Left out: 700 with a webhook that is switched off or deleted." in words
        assert "Call flow: deleted flow" in words


def test_a_form_that_is_sent_twice_begins_one_redelivery(server, admin, endpoint):
    flow = server.flow(endpoint.base)
    server.report(flow)
    server.settled(1, call_flow_id=flow["id"])
    address = f"{admin.home}/deliveries/redeliver?status=delivered&call_flow_id={flow['id']}"
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', admin.get(address).text))
    there = admin.post(address, form).headers["location"]
    assert admin.post(address, form).headers["location"] == there
    assert "1 was sent again." in str(Texts(admin.get(there).text))
    assert admin.post(address.replace("delivered", "failed"), form).status_code == 409, "another request"
    # One later finds it on the way, or delivered again.
    once_more = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', admin.get(address).text)) or form | {"once": "another"}
    assert admin.post(address, once_more).headers["location"] != there


@pytest.mark.parametrize("query, said", [
    ("stauts=failed", "This list has no filter “stauts”: change its address."),
    ("status=failed&status=delivered", "This list takes {label} only once: change its address."),
    ("status=failed&a=1&b=2", "This list has no filter “a” or “b”: change its address."),
])
def test_what_an_address_says_in_vain_is_named_and_acts_on_nothing(server, admin, query, said):
    server.report(server.flow("http://127.0.0.1:9/"))
    for page, label in (("/calls", "Status"), ("/deliveries", "State")):
        answer = admin.get(f"{admin.home}{page}?{query}")
        assert answer.status_code == 422 and said.format(label=label) in answer.text
        assert "<tbody>\n</tbody>" in answer.text and "Show all" in answer.text, "no row"
        assert "Redeliver all" not in answer.text
    listed = lambda: admin.get(f"{admin.home}/redeliveries").text.partition("<main")[2]
    before = listed()
    for answer in (admin.get(f"{admin.home}/deliveries/redeliver?{query}"), admin.get(f"{admin.home}/calls/export?{query}"),
                   admin.post(f"{admin.home}/deliveries/redeliver?{query}", {"all": "1"})):
        assert answer.status_code == 422 and "This list" in answer.text
    assert listed() == before


def test_what_waits_for_its_next_attempt_is_sent_now(receiver):
    with Callhook("--retry-delays=1h") as slow:
        visitor = first(slow)
        receiver.answer = lambda _: (500, {}, b"")
        slow.report(slow.flow(receiver.base))
        wait_until(lambda: slow.deliveries()[0]["attempt_count"] == 1, what="the first attempt")
        page = f"{visitor.home}/deliveries/{slow.deliveries()[0]['id']}"
        assert "Redeliver now" in visitor.get(page).text and "Cancel" in visitor.get(page).text
        receiver.answer = lambda _: (200, {}, b"")
        answer = visitor.post(f"{page}/redeliver-now")
        assert answer.status_code == 303 and "It is sent again." in visitor.get(answer.headers["location"]).text
        wait_until(lambda: slow.deliveries()[0]["status"] == "delivered", what="the second attempt")
        assert slow.deliveries()[0]["attempt_count"] == 2
        assert "Redeliver now" not in visitor.get(page).text
        answer = visitor.post(f"{page}/redeliver-now")
        assert answer.status_code in (409, 422) and "no attempt of it can be made earlier" in answer.text
