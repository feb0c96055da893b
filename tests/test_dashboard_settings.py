"""The settings of a call flow: where a refusal is said, what helps to fill them in, who may change them."""

import re

import pytest

from harness import ROOT, Callhook
from visitor import Browser, Visitor, flaws_of_html, invited


@pytest.fixture(scope="module")
def server():
    with Callhook() as callhook:
        yield callhook


@pytest.fixture(scope="module")
def flow(server):
    return server.flow("http://127.0.0.1:9/x", headers={"X-Token": "canary"})


FORM = {"name": "Google Ads", "recording": "on", "enabled": "on", "url": "http://127.0.0.1:9/x"}


@pytest.mark.parametrize(["typed", "field", "label", "words"], [
    ({"name": " "}, "name", "Name", "Name must not be empty."),
    ({"url": "nowhere"}, "url", "Webhook URL", "Webhook URL is not a URL: https://host/path is expected."),
    ({"url": "http://10.0.3.7/"}, "url", "Webhook URL", "10.0.3.7 is a private address: callhook sends nothing there. "
     "If that is meant, start callhook with <code>--allow-network 10.0.3.0/24</code>."),
    ({"header_name": "X-Token", "header_value": "\u00e9"}, "header_value", "The header X-Token", "The header X-Token has characters"),
    ({"retry_delays": "soon"}, "retry_delays", "Waits between attempts", "Waits between attempts are whole seconds"),
])
def test_a_refusal_stands_below_its_field(admin, flow, typed, field, label, words, tmp_path):
    page = f"{admin.home}/call-flows/{flow['id']}"
    for address, is_test in ((page, False), (f"{page}/test", True)):
        if is_test and "name" in typed:
            continue
        answer = admin.post(address, FORM | typed)
        assert answer.status_code == 422
        wrong, = re.findall(rf'<input [^>]*name="{field}"[^>]* aria-invalid="true" aria-describedby="wrong"[^>]*>.*?<p class="wrong" id="wrong">(.*?)</p>', answer.text, re.DOTALL)
        assert wrong.startswith(words) and "`" not in wrong
        alert, = re.findall(r'role="alert">(.*?)</p>', answer.text)
        assert alert == (wrong if is_test else f'Nothing is saved yet. See <a href="#wrong">{label}</a>.')
        assert flaws_of_html({"page": answer.text}, tmp_path) == ""


def test_what_has_no_field_is_said_above_all(admin, flow):
    page = f"{admin.home}/call-flows/{flow['id']}"
    answer = admin.post(page, FORM | {"version": "1"})
    assert "The settings were changed by somebody else meanwhile." in re.search(r'role="alert">(.*?)</p>', answer.text)[1]
    assert 'id="wrong"' not in answer.text


def test_whoever_saves_finds_what_is_wrong_and_the_button_in_view(server, admin, flow):
    for width, height in ((1280, 700), (390, 844), (320, 640)):
        with Browser(server.base, width=width, height=height) as browser:
            browser.become(admin)
            browser.open(f"{admin.home}/call-flows/{flow['id']}")
            button = browser.find(".panel .foot button")
            seen = lambda element: browser.driver.execute_script(
                "const box = arguments[0].getBoundingClientRect(); return arguments[0].contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2))", element)
            browser.driver.execute_script("document.querySelector('[name=source]').scrollIntoView()")
            assert seen(button) or width < 640, "a phone has its bar of pages there"
            browser.fill(retry_delays="soon")
            assert seen(browser.find("[name=retry_delays]")), "the button lies upon what is typed"
            browser.click(button)
            browser.wait_until(lambda: browser.all("#wrong"), "the refusal")
            assert browser.driver.switch_to.active_element.get_attribute("name") == "retry_delays"
            assert seen(browser.find("#wrong")) and browser.barriers() == [] and not browser.is_wider_than_its_window()
            browser.driver.execute_script("window.stop()")


def test_an_empty_header_waits_only_for_who_has_no_script(server, admin, flow):
    for scripts, shown in ((True, ["X-Token"]), (False, ["X-Token", ""])):
        with Browser(server.base, scripts=scripts) as browser:
            browser.become(admin)
            browser.open(f"{admin.home}/call-flows/{flow['id']}")
            assert [name.get_attribute("value") for name in browser.all("[name=header_name]") if name.is_displayed()] == shown


def test_before_there_is_an_address_it_is_said_where_to_get_one(server, admin):
    flow = server.flow()
    for scripts in (True, False):
        with Browser(server.base, scripts=scripts) as browser:
            browser.become(admin)
            browser.open(f"{admin.home}/call-flows/{flow['id']}")
            guides = lambda: [guide.text.split(".")[0] for guide in browser.all(".guide") if guide.is_displayed()]
            assert guides() == []
            browser.press("Where do I get a URL?")
            assert guides() == ["Zapier", "Slack", "Make", "Google Sheets"]
            if scripts:
                browser.fill(url="https://hook.eu1.make.com/abc")
                assert guides() == ["Make"] and browser.barriers() == []
                browser.driver.execute_script("window.stop()")


def test_the_samples_that_verify_are_those_of_the_repository(admin, flow):
    page = admin.get(f"{admin.home}/call-flows/{flow['id']}").text
    links = re.findall(r'href="(/samples/verify-signature/[\w.]+)"', page)
    assert len(links) == 3
    for link in links:
        answer = Visitor(admin.base).get(link)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8" and answer.text == (ROOT / link[1:]).read_text()
    assert admin.get("/samples/verify-signature/nothing").status_code == 404


def test_a_viewer_reads_why_nothing_can_be_changed(server, admin, flow):
    viewer = invited(admin, "viewer@example.com", "viewer")
    call = server.report(flow)
    for path in (f"/call-flows/{flow['id']}", f"/calls/{call['id']}"):
        words = "Your role is viewer: a member or an admin can change this."
        assert words in viewer.get(f"{admin.home}{path}").text and words not in admin.get(f"{admin.home}{path}").text
