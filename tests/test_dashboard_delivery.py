"""A delivery's page, and choosing deliveries in their list: by hand, and by keys that can be switched off."""

import re

import pytest

from harness import Callhook, Receiver
from visitor import Browser, Texts, flaws_of_html, invited


@pytest.fixture(scope="module")
def server():
    with Callhook("--retry-delays=1s") as callhook:
        yield callhook


@pytest.fixture(scope="module")
def endpoint():
    """Refuses what goes to /broken."""
    with Receiver(lambda received: (503 if received.path == "/broken" else 200, {}, b"taken")) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def broken(server, endpoint):
    """A flow of which three deliveries and two tests failed."""
    flow = server.flow(f"{endpoint.base}/broken")
    for _ in range(3):
        server.report(flow)
    failed = server.settled(3, call_flow_id=flow["id"])
    for _ in range(2):
        server.data("POST", f"/call-flows/{flow['id']}/test-webhook", {})
    return flow | {"failed": failed[0]["id"], "tests": [one["id"] for one in server.deliveries(call_flow_id=flow["id"], test="true")]}


def test_others_that_failed_are_counted_and_sent_again_without_tests(server, admin, broken):
    page = admin.get(f"{admin.home}/deliveries/{broken['failed']}").text
    words = re.sub(r"\s+", " ", str(Texts(page)))
    assert re.search(r"2 other deliveries of this flow failed since \d+ \w{3} \d\d:\d\d\. If the endpoint was repaired: redeliver all 3\.", words), words
    link = re.search(r'href="([^"]+)">redeliver all 3<', page)[1].replace("&amp;", "&")
    estimate = str(Texts(admin.get(link).text))
    assert "3 would be sent again" in estimate and "Left out" not in estimate
    test = admin.get(f"{admin.home}/deliveries/{broken['tests'][0]}").text
    assert "The endpoint is up but refuses work (503)" in test and "other deliver" not in test and "redeliver all" not in test
    viewer = invited(admin, "looks-on@example.com", "viewer")
    page = viewer.get(f"{admin.home}/deliveries/{broken['failed']}").text
    assert "2 other deliveries" in page and "redeliver all" not in page


def test_a_deliverys_state_stands_beside_its_title_and_goes_on_by_itself(server, admin, broken, endpoint):
    with Browser(server.base) as browser:
        browser.become(admin)
        browser.open(f"{admin.home}/deliveries/{broken['failed']}")
        title, state = browser.find("h1").rect, browser.find("#beside").rect
        assert 0 <= state["x"] - title["x"] - title["width"] <= 24 and state["y"] < title["y"] + title["height"]
        assert browser.text("#beside") == "failed"
        browser.press("As curl")
        assert "curl -X POST" in browser.text("#curl") and [button.text for button in browser.all("[data-copy]")] == ["Copy as curl"]
        attempts = len(browser.all(".timeline li"))
        browser.press("Redeliver")
        browser.wait_until(lambda: len(browser.all(".timeline li")) == attempts + 2 and browser.text("#beside") == "failed", "two further attempts")
        assert browser.complaints() == []


def test_an_attempt_shows_the_steps_that_it_took(server, admin, endpoint):
    flow = server.flow("https://nowhere.invalid/x")
    server.report(flow)
    delivery, = server.settled(1, call_flow_id=flow["id"])
    page = admin.get(f"{admin.home}/deliveries/{delivery['id']}").text
    assert not re.search(r"(dns|connect|tls|wait|read) 0\b", page)


def test_what_is_ticked_is_counted_and_nothing_ticked_is_no_success(server, admin, broken, tmp_path):
    lists = f"{admin.home}/deliveries?call_flow_id={broken['id']}&status=failed&test=false"
    with Browser(server.base) as browser:
        browser.become(admin)
        browser.open(lists)
        button = browser.find("button:disabled")
        assert button.text == "Redeliver those chosen"
        for box in browser.all("input[name=id]")[:2]:
            box.click()
        assert button.text == "Redeliver 2" and button.is_enabled()
        browser.find("[data-all]").click()
        assert button.text == "Redeliver 3"
        browser.find("[data-all]").click()
        assert button.text == "Redeliver those chosen" and not button.is_enabled()
        assert browser.barriers() == []
    with Browser(server.base, scripts=False) as browser:
        browser.become(admin)
        browser.open(lists)
        assert not browser.all(".keys"), "there are none without a script"
        browser.press("Redeliver those chosen")
        browser.wait_for("Nothing was chosen: tick the deliveries that are to be sent again.")
        assert browser.find("[role=status]").get_attribute("class") == "note wait"
    nowhere = admin.post(f"{admin.home}/deliveries/redeliver", {"id": "01a22773-0000-7000-8000-000000000000"})
    page = admin.get(nowhere.headers["location"]).text
    assert '<p class="note wait" role="status">None is sent again: 1 not there any more.</p>' in page
    assert flaws_of_html({"list": page}, tmp_path) == ""


def test_keys_act_on_the_chosen_row_and_can_be_switched_off(server, admin, broken):
    with Browser(server.base) as browser:
        browser.become(admin)
        browser.open(f"{admin.home}/deliveries?call_flow_id={broken['id']}&status=failed&test=false")
        focused = lambda: browser.driver.switch_to.active_element
        ticked = lambda: [box.get_attribute("value") for box in browser.all("input[name=id]") if box.is_selected()]
        assert browser.text(".keys small") == "Keys: j k choose · Enter opens · / filters · r redelivers"
        browser.find("body").send_keys("r")
        assert ticked() == [] and focused().tag_name == "body", "no row is chosen"
        browser.find("body").send_keys("j")
        focused().send_keys("j")
        focused().send_keys("r")
        second = browser.all("tbody tr")[1].get_attribute("id").removeprefix("d-")
        assert ticked() == [second] and focused().text == "Redeliver 1"
        focused().send_keys("\n")
        browser.wait_for("1 is sent again.")
        server.settled(3, call_flow_id=broken["id"])
        browser.driver.refresh()
        # Of one letter, they are in the way of who speaks to the machine.
        browser.find(".keys button").click()
        assert browser.text(".keys small") == "Keys are off."
        browser.driver.refresh()
        assert browser.text(".keys small") == "Keys are off." and browser.barriers() == []
        for key in ("j", "r", "/"):
            browser.find("body").send_keys(key)
        assert not browser.all("tr.chosen") and ticked() == [] and focused().tag_name == "body"
        browser.find(".keys button").click()
        browser.find("body").send_keys("j")
        assert browser.all("tr.chosen")
        browser.open(f"{admin.home}/deliveries/{broken['failed']}")
        browser.find("body").send_keys("r")
        assert focused().text in ("Redeliver", "Redeliver now")
        assert browser.complaints() == []


def test_the_keyboard_stays_where_it_is_when_a_page_goes_on_by_itself(server, admin, broken, endpoint):
    well = server.flow(f"{endpoint.base}/well")
    with Browser(server.base) as browser:
        browser.become(admin)
        for path, key, where in ((f"/deliveries/{broken['failed']}", "r", "button"), ("/deliveries", "j", "tr.chosen a")):
            browser.open(admin.home + path)
            browser.find("body").send_keys(key)
            focused = browser.driver.execute_script("window.before = document.activeElement; return document.activeElement.textContent")
            assert browser.driver.execute_script(f"return document.activeElement.matches({where!r})"), path
            server.report(well)
            browser.wait_until(lambda: browser.driver.execute_script("return !window.before.isConnected"), "the page as it stands now")
            assert browser.driver.execute_script("return document.activeElement.textContent") == focused, path
