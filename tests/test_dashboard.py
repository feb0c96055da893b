"""The dashboard in a real browser: set up, watch, find, mend."""

import re

import pytest

from harness import Callhook, Receiver, wait_until
from visitor import PASSWORD, Browser, first, flaws_of_html, invited

# What callers, phone systems and receivers may say, none of it to be believed.
HOSTILE = "<script>window.broken = 1</script>\"'><img src=x onerror=window.broken=1> \u202egnihsa javascript:window.broken=1"


@pytest.fixture(scope="module")
def server():
    with Callhook("--retry-delays=1s,1s", "--ai-fallback=2s") as callhook:
        yield callhook


@pytest.fixture(scope="module")
def endpoint():
    """Takes everything but what goes to /broken."""

    def answer(received):
        return (503, {}, HOSTILE.encode()) if received.path.startswith("/broken") else (200, {}, b"taken")

    with Receiver(answer) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def filled(server, endpoint, admin):
    """A business with a bit of everything."""
    hook = {"enabled": True, "url": f"{endpoint.base}/calls", "headers": {"X-Token": "canary"}}
    good = server.data("POST", "/call-flows", {"name": "Google Ads", "post_call_webhook": hook}, 201)["call_flow"]
    broken = server.data("POST", "/call-flows", {"name": HOSTILE, "post_call_webhook": hook | {"url": f"{endpoint.base}/broken"}}, 201)["call_flow"]
    server.data("POST", "/numbers", {"phone_number": "+15735551234", "friendly_name": HOSTILE, "call_flow_id": good["id"]}, 201)
    server.data("POST", "/sources", {"kind": "twilio", "name": HOSTILE, "auth_token": "canary"}, 201)
    attribution = {"source": HOSTILE, "landing_page_url": "javascript:window.broken=1", "utm_campaign": HOSTILE}
    for at in range(6):
        server.report(good if at % 2 else broken, attribution=attribution, transcription=HOSTILE * 50, value_cents=5000)
    server.report(None, caller_number="anonymous", tracking_number="+15735559999", status="no-answer")
    call = server.report(good, caller_number=HOSTILE[:60])
    analysis = {"summary": HOSTILE, "ai_score": 80, "ai_category": "lead", "qualified_ai": True, "qualification_reason": HOSTILE}
    server.data("PUT", f"/calls/{call['id']}/analysis", analysis)
    wait_until(lambda: len(server.deliveries(status="failed")) == 3, 20, "the failures")
    server.data("POST", "/webhook-deliveries/redeliver", {"filter": {"call_flow_id": broken["id"], "error": HOSTILE[:60]}}, 202)
    return {"good": good, "broken": broken, "call": call}


@pytest.fixture
def browser(server, admin):
    with Browser(server.base) as browser:
        browser.become(admin)
        yield browser


def pages_of(server, admin, filled) -> dict[str, str]:
    """The path of every page, by its name."""
    home = admin.home
    failed = server.deliveries(status="failed")[0]["id"]
    delivered = server.deliveries(status="delivered")[0]["id"]
    number = server.data("GET", "/numbers")["numbers"][0]["id"]
    source = server.data("GET", "/sources")["sources"][0]["id"]
    redelivery = re.search(r'id="r-([0-9a-f-]{36})"', admin.get(f"{home}/redeliveries").text)[1]
    return {
        "overview": home, "call-flows": f"{home}/call-flows", "call-flow": f"{home}/call-flows/{filled['good']['id']}",
        "call-flow-broken": f"{home}/call-flows/{filled['broken']['id']}", "calls": f"{home}/calls", "call": f"{home}/calls/{filled['call']['id']}",
        "deliveries": f"{home}/deliveries", "delivery-failed": f"{home}/deliveries/{failed}", "delivery-delivered": f"{home}/deliveries/{delivered}",
        "redeliver": f"{home}/deliveries/redeliver?status=failed",
        "redeliveries": f"{home}/redeliveries", "redelivery": f"{home}/redeliveries/{redelivery}", "numbers": f"{home}/numbers", "number": f"{home}/numbers/{number}",
        "sources": f"{home}/sources", "source": f"{home}/sources/{source}", "settings": f"{home}/settings", "account": "/account",
        "not-found": f"{home}/nothing", "sign-in": "/sign-in",
    }


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_six_steps_of_the_setup(scripts, receiver):
    """As the seed document tells them, from the first page to a call that arrives."""
    with Callhook("--ai-fallback=3s") as server, Browser(server.base, scripts=scripts) as browser:
        browser.become(first(server))
        browser.open("/")
        browser.press("Call Flows")
        browser.fill(name="Google Ads")
        browser.press("Make the call flow")
        wait_until(lambda: re.search("/call-flows/.{36}$", browser.path), what="the call flow")
        # 2. In the right-side settings panel, expand AUTOMATIONS and tick Post-Call Webhook.
        assert [summary.text for summary in browser.all(".panel > fieldset > details > summary")] == ["GENERAL", "RECORDING & AI", "AUTOMATIONS"]
        browser.tick("enabled")
        # 3. Paste your destination URL into the Webhook URL field.
        browser.fill(url=f"{receiver.base}/hook")
        # 4. Tick Wait for AI processing.
        browser.tick("wait_for_ai")
        # 5. Add Custom headers, then click Send test webhook.
        if scripts:
            browser.press("+ add a header")
        browser.fill(header_name="X-Token", header_value="t0ken")
        browser.press("Send test webhook")
        browser.wait_for("200 in")
        assert browser.text("#test ~ .note .badge") == "delivered"
        test = receiver.next()
        assert (test.headers["x-token"], test.headers["callhook-test"]) == ("t0ken", "true")
        browser.press("Exactly what was sent")
        assert test.json["delivery_id"] in browser.text("#test ~ .note pre:last-of-type") or test.json["delivery_id"] in browser.driver.page_source
        assert server.data("GET", "/call-flows")["call_flows"][0]["post_call_webhook"]["url"] is None, "nothing is saved by a test"
        # 6. Save the call flow.
        browser.press("Save call flow")
        browser.wait_for("From the next call on, Google Ads posts to 127.0.0.1 when AI is done")
        flow = server.data("GET", "/call-flows")["call_flows"][0]
        call = server.report(flow)
        received = receiver.next()
        assert (received.json["call_id"], received.headers["x-token"]) == (call["id"], "t0ken")
        assert not browser.complaints()


def test_a_test_that_fails_says_in_words_what_to_do(browser, filled, endpoint):
    browser.open("/")
    browser.open(f"{browser.path}/call-flows/{filled['good']['id']}")
    browser.fill(url=f"{endpoint.base}/broken")
    browser.find("[name=header_value]").clear()
    browser.find("[name=header_value]").send_keys("given again")
    browser.press("Send test webhook")
    browser.wait_for("The endpoint is up but refuses work (503)")
    assert browser.find("[name=url]").get_attribute("value").endswith("/broken"), "what was typed stays"
    browser.fill(url="not an address")
    browser.driver.execute_script("document.querySelector('form.panel').noValidate = true")
    browser.press("Save call flow")
    browser.wait_for("Webhook URL")
    assert browser.find("[name=url]").get_attribute("value") == "not an address"
    assert browser.find("[name=url]").get_attribute("aria-invalid") == "true"


def test_a_test_that_is_refused_says_so_where_its_result_stands(browser, filled):
    browser.open("/")
    browser.open(f"{browser.path}/call-flows/{filled['good']['id']}")
    for address, words in (("http://10.0.0.1/", "10.0.0.1 is a private address: callhook sends nothing there."), ("http://127.0.0.1:9/", "The header X-Token is masked, and does not follow the URL")):
        browser.fill(url=address)
        browser.press("Send test webhook")
        browser.wait_for(words)
        alert, = browser.all("[role=alert]")
        assert alert.text.startswith(words)
        browser.wait_until(lambda alert=alert: browser.driver.execute_script(
            "const box = arguments[0].getBoundingClientRect(); return 0 <= box.top && box.bottom <= innerHeight", alert), "the message in view")
    browser.driver.execute_script("window.onbeforeunload = null; window.stop()")


def test_what_is_long_breaks_or_is_cut(server, admin, filled, endpoint):
    """An address without breaks, a caller's long name, what is folded away: no page grows wider than a phone for it."""
    long = {"enabled": True, "url": f"{endpoint.base}/broken/{'a' * 1_500}"}
    flow = server.data("POST", "/call-flows", {"name": "Long", "post_call_webhook": long}, 201)["call_flow"]
    call = server.report(flow, caller_number="N" * 255)
    found = lambda: [one for one in server.deliveries(call_id=call["id"]) if one["status"] == "failed"]
    delivery = wait_until(found, 20, "the failure")[0]
    home = admin.home
    server.data("POST", "/api-keys", {"name": "Phone system of the business", "role": "viewer"}, 201)
    with Browser(server.base) as browser:
        browser.become(admin)
        browser.open(f"{home}/calls")
        assert all(cell.rect["width"] <= 400 for cell in browser.all("td.caller")), "one caller's name pushes the other columns away"
    for width in (320, 390, 1280):
        with Browser(server.base, width=width) as browser:
            browser.become(admin)
            for path in ("", "/settings", f"/deliveries/{delivery['id']}", f"/call-flows/{flow['id']}", f"/call-flows/{filled['broken']['id']}", "/calls"):
                browser.open(home + path)
                assert not browser.is_wider_than_its_window(), (width, path)


@pytest.mark.parametrize(["address", "words"], [
    ("https://hooks.zapier.com/hooks/catch/1/a/", "Catch Hook"), ("https://hooks.slack.com/services/T/B/x", "incoming webhook"),
    ("https://hook.eu1.make.com/abc", "Custom webhook"), ("https://script.google.com/macros/s/A/exec", "doPost"),
])
def test_the_guide_of_a_service_is_shown_while_its_address_is_typed(browser, filled, address, words):
    browser.open("/")
    browser.open(f"{browser.path}/call-flows/{filled['good']['id']}")
    guides = lambda: [guide.text for guide in browser.all(".guide") if guide.is_displayed()]
    assert guides() == []
    browser.fill(url=address)
    assert len(guides()) == 1 and words in guides()[0]
    # Nothing of it is saved: leaving asks first.
    browser.driver.execute_script("window.onbeforeunload = null; window.stop()")


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_every_page_is_for_everybody(server, admin, filled, look):
    width = 390 if look == "phone" else 1280
    with Browser(server.base, width=width, dark=look == "dark") as browser:
        browser.become(admin)
        for name, path in pages_of(server, admin, filled).items():
            browser.open(path)
            for details in browser.all("details"):
                browser.driver.execute_script("arguments[0].open = true", details)
            assert browser.barriers() == [], name
            browser.driver.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = false; })")
            assert not browser.is_wider_than_its_window(), f"{name} does not fit"
            for room in browser.all(".side [aria-current]"):
                assert 0 <= room.rect["x"] < width - room.rect["width"] + 1, f"{name}: where one is lies outside of the bar"
            complaints = [one for one in browser.complaints() if name != "not-found"]
            assert not complaints, f"{name}: {complaints}"


def test_at_twice_the_size_every_page_still_fits(server, admin, filled):
    with Browser(server.base, width=640, height=450) as browser:
        browser.become(admin)
        for name, path in pages_of(server, admin, filled).items():
            browser.open(path)
            assert not browser.is_wider_than_its_window(), name


def test_every_page_is_valid_and_small(server, admin, filled, tmp_path):
    pages = {}
    for name, path in pages_of(server, admin, filled).items():
        answer = admin.get(path)
        pages[name] = answer.text
        transferred = len(answer.content)
        for asset in re.findall(r'(?:href|src)="(/assets/[^"]+)"', answer.text):
            file = admin.get(asset)
            assert file.status_code == 200 and "immutable" in file.headers["cache-control"]
            transferred += len(file.content)
        assert transferred <= 60 * 1024, f"{name}: {transferred} bytes"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, name
        assert answer.headers["cache-control"] == "no-store", name
        assert not re.search(r'<[^>]+ (style|on[a-z]+)="', answer.text), f"{name} has inline code"
        assert not re.search(r'(href|src|action)="(https?:)?//(?!www\.standardwebhooks\.com)', answer.text), f"{name} asks others"
    assert flaws_of_html(pages, tmp_path) == ""


def test_what_others_say_is_shown_as_text(browser, server, admin, filled):
    for name, path in pages_of(server, admin, filled).items():
        browser.open(path)
        assert browser.driver.execute_script("return window.broken") is None, name
        assert browser.all("main script, img") == [], name
        assert [link for link in browser.all("a") if (link.get_attribute("href") or "").startswith("javascript:")] == [], name
    browser.open(f"{admin.home}/calls/{filled['call']['id']}")
    assert "<script>window.broken = 1</script>" in browser.text()
    for secret in ("canary", PASSWORD):
        assert secret not in browser.driver.page_source


def test_a_list_goes_on_by_itself_and_by_keys(browser, server, admin, filled):
    browser.open(f"{admin.home}/deliveries")
    before = browser.find("#deliveries tbody tr").get_attribute("id")
    server.report(filled["good"])
    browser.wait_until(lambda: browser.find("#deliveries tbody tr").get_attribute("id") != before, "the new row")
    page = browser.find("body")
    page.send_keys("j")
    page.send_keys("j")
    assert browser.all("#deliveries tbody tr")[1].get_attribute("class") == "chosen"
    browser.driver.switch_to.active_element.send_keys("k")
    chosen = browser.find("tr.chosen").get_attribute("id")
    assert browser.all("#deliveries tbody tr")[0].get_attribute("id") == chosen
    browser.driver.switch_to.active_element.send_keys("\n")
    wait_until(lambda: browser.path.endswith(chosen.removeprefix("d-")), what="the delivery")
    browser.open(f"{admin.home}/deliveries")
    browser.find("body").send_keys("/")
    assert browser.driver.switch_to.active_element.get_attribute("name") == "error"


def test_what_failed_is_found_and_sent_again(browser, server, admin, filled, endpoint):
    browser.open("/")
    assert "is failing" in browser.text("#state") or "are failing" in browser.text("#state")
    browser.press("503 refuses work")
    browser.wait_for("The endpoint is up but refuses work (503)")
    browser.open(admin.home)
    browser.press("Redeliver")
    browser.wait_for("would be sent again")
    failed = [one["id"] for one in server.deliveries(call_flow_id=filled["broken"]["id"], status="failed", test="false")]
    browser.press(f"Redeliver {len(failed)}")
    browser.wait_for(f"{len(failed)} {'was' if len(failed) == 1 else 'were'} sent again.")
    browser.press("Show the deliveries")
    browser.wait_until(lambda: browser.all("#deliveries"), "the list")
    assert "status=" not in browser.path and "Nothing matches" not in browser.text(), "the list has those that are sent again"
    assert all(browser.all(f"#d-{one}") for one in failed)
    wait_until(lambda: all(server.delivery(one)["attempt_count"] == 6 for one in failed), 20, "the new series")
    delivery = failed[0]
    browser.open(f"{admin.home}/deliveries/{delivery}")
    assert len(browser.all(".timeline li.failed")) >= 4
    assert "The endpoint is up but refuses work (503)" in browser.text()
    assert "curl -X POST" in browser.find("#curl").get_attribute("textContent")
    browser.press("Redeliver")
    browser.wait_for("It is sent again")


@pytest.mark.parametrize("path, name", [("/calls", "start_date"), ("/deliveries", "since")])
def test_the_times_of_a_filter_mean_what_is_shown_whichever_zone_the_form_was_drawn_in(admin, filled, path, name):
    with Browser(admin.base, zone="America/New_York") as browser:
        browser.become(admin)
        browser.driver.delete_cookie("zone")
        browser.open(f"{admin.home}{path}?{name}=2026-03-30T14:30:00Z")
        assert browser.find(f"[name={name}]").get_attribute("value") == "2026-03-30T14:30", "the zone is not known yet"
        browser.driver.execute_script("document.querySelector('form.filters').requestSubmit()")
        browser.wait_until(lambda: "30%3A00Z" in browser.driver.current_url, "the address")
        assert browser.driver.current_url.endswith(f"{path}?{name}=2026-03-30T14%3A30%3A00Z")
        assert browser.find(f"[name={name}]").get_attribute("value") == "2026-03-30T10:30"
        browser.driver.execute_script("document.querySelector('form.filters').requestSubmit()")
        browser.wait_until(lambda: browser.find("[name=zone]").get_attribute("value") == "America/New_York", "the zone")
        assert browser.driver.current_url.endswith(f"{path}?{name}=2026-03-30T14%3A30%3A00Z")


def test_of_two_who_change_the_same_field_the_second_is_told(server, admin, filled):
    call = f"{admin.home}/calls/{re.search(r'/calls/([0-9a-f-]{36})', admin.get(f'{admin.home}/calls').text)[1]}"
    before = dict(re.findall(r'name="(\w+_before)" value="([^"]*)"', admin.get(call).text))
    form = before | {name.removesuffix("_before"): value for name, value in before.items()}
    assert admin.post(call, form | {"value": "11.00"}).status_code == 303
    assert admin.post(call, form | {"value": "11.00"}).status_code == 303, "the same form again"
    assert admin.post(call, form | {"cost": "3.00"}).status_code == 303, "another field is nobody's concern"
    answer = admin.post(call, form | {"value": "12.00", "utm_term": "tried"})
    assert answer.status_code == 422
    assert "Value was changed by somebody else meanwhile" in answer.text and "It is 11.00 now." in answer.text
    assert 'name="value" inputmode="decimal" value="12.00"' in answer.text, "what was typed is kept"
    stored = admin.get(call).text
    assert 'value="11.00"' in stored and 'value="3.00"' in stored and "tried" not in stored, "nothing is changed"
    again = dict(re.findall(r'name="(\w+)" (?:inputmode="decimal" )?value="([^"]*)"', answer.text))
    assert admin.post(call, again).status_code == 303
    assert 'value="12.00"' in admin.get(call).text


def test_sending_again_says_how_many_are_left_out_and_why(server, admin, filled):
    nowhere = "01a22773-0000-7000-8000-000000000000"
    delivered = server.deliveries(status="delivered", test="false")[0]["id"]
    answer = admin.post(f"{admin.home}/deliveries/redeliver", [("id", nowhere), ("id", delivered)])
    assert "1 is sent again. Left out: 1 not there any more." in admin.get(answer.headers["location"]).text
    answer = admin.post(f"{admin.home}/deliveries/redeliver", [("id", nowhere)])
    assert "None is sent again: 1 not there any more." in admin.get(answer.headers["location"]).text


def test_what_an_address_filters_by_stands_in_the_form_and_is_called_as_there(admin, filled):
    def shown(path: str) -> tuple[str, dict[str, str]]:
        answer = admin.get(f"{admin.home}{path}", cookies={"zone": "America%2FNew_York"})
        if answer.status_code == 303:
            answer = admin.get(answer.headers["location"], cookies={"zone": "America%2FNew_York"})
        times = re.findall(r'<input type="datetime-local" name="(\w+)" value="([^"]+)">', answer.text)
        return answer.text, dict(times)

    _, times = shown("/deliveries?since=2026-03-30T14:30:00Z&until=2026-03-30")
    assert times == {"since": "2026-03-30T10:30", "until": "2026-03-30T20:00"}
    _, times = shown("/calls?start_date=2026-03-30T14:30:05%2B02:00&end_date=2026-03-30T10:30&updated_since=2026-01-01T00:00:00Z")
    assert times == {"start_date": "2026-03-30T08:30:05", "end_date": "2026-03-30T10:30", "updated_since": "2025-12-31T19:00"}
    for path, words in {
        "/deliveries?since=soon": "From is not a time", "/deliveries?status=done": "State must be", "/calls?min_ai_score=101": "AI score at least must be",
        "/calls?updated_since=soon": "Changed since is not a time", "/calls/export?end_date=soon": "Until is not a time",
        "/deliveries/redeliver?call_id=x": "Call is ",
    }.items():
        assert words in shown(path)[0], path
    page, _ = shown(f"/deliveries/redeliver?status=failed&call_flow_id={filled['good']['id']}&since=2026-03-30T14:30:00Z")
    assert all(f'<span class="tag">{words}</span>' in page for words in ("State: failed", "Call flow: Google Ads", "From: 2026-03-30 10:30"))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_whoever_reloads_an_answer_sends_nothing_again(scripts, server, admin, filled, endpoint):
    own = server.flow(f"{endpoint.base}/calls", headers={"X-Token": "stored"})["id"]
    with Browser(server.base, scripts=scripts) as browser:
        browser.become(admin)
        flow = f"{admin.home}/call-flows/{own}"
        tests = lambda: len(server.deliveries(test="true", call_flow_id=own))
        before = tests()
        browser.open(flow)
        browser.press("Send test webhook")
        browser.wait_for("200 in")
        assert browser.path.startswith(f"{flow}?test=") and tests() == before + 1
        browser.driver.refresh()
        browser.wait_for("200 in")
        assert tests() == before + 1
        # What is typed stands in no address, and is there all the same until it is saved: for who has typed it.
        value = lambda name: browser.all(f"[name={name}]")[0].get_attribute("value")
        browser.fill(source="typed", header_value="t0ken")
        browser.press("Send test webhook")
        wait_until(lambda: tests() == before + 2, what="the second test")
        browser.wait_for("200 in")
        shown = browser.path
        assert shown.startswith(f"{flow}?test=") and "t0ken" not in shown
        browser.driver.refresh()
        browser.wait_for("200 in")
        assert (value("source"), value("header_value"), tests()) == ("typed", "t0ken", before + 2)
        other = invited(admin, f"other-{scripts}@example.com", "admin").get(shown.split("#")[0]).text
        assert "200" in other and "t0ken" not in other and 'value="typed"' not in other
        browser.press("Save call flow")
        browser.wait_for("Saved.")
        browser.open(shown)
        browser.wait_for("200 in")
        assert (value("source"), value("header_value")) == ("typed", "••••")
    other = server.deliveries(test="false")[0]["id"]
    for no_test in (other, "nonsense", "018f3c1e-0000-7000-8000-000000000000"):
        page = admin.get(f"{flow}?test={no_test}")
        assert page.status_code == 200 and "Exactly what was sent" not in page.text


@pytest.mark.parametrize("page, label, word", [("calls", "Status", "completed"), ("deliveries", "State", "delivered")])
def test_on_a_phone_the_filters_are_folded_and_say_what_is_chosen(page, label, word, server, admin, filled):
    for width, scripts in ((390, False), (390, True), (1280, False)):
        with Browser(server.base, width=width, scripts=scripts) as browser:
            browser.become(admin)
            browser.open(f"{admin.home}/{page}")
            # The driver takes whatever lies in a closed fold for hidden; the browser knows better.
            is_seen = browser.driver.execute_script("return document.querySelector('select[name=status]').checkVisibility()")
            assert is_seen == (width > 600)
            browser.driver.execute_script("document.querySelector('.narrow').open = true") if is_seen else browser.press("Filters")
            browser.fill(status=word)
            browser.press("Filter")
            browser.wait_until(lambda: "status=" in browser.path, "the filtered list")
            summary = browser.find(".narrow > summary")
            assert summary.is_displayed() == (width < 600)
            assert f"{label}: {word}" in summary.get_attribute("textContent")


def test_all_that_the_api_corrects_of_a_call_is_corrected_on_its_page(browser, server, admin, filled):
    call = server.report(filled["good"], attribution={"source": "google", "gclid": "before"}, cost_cents=15)
    browser.open(f"{admin.home}/calls/{call['id']}")
    browser.press("Change landing page, UTM, click ids")
    browser.fill(cost="much", utm_term="roof repair", landing_page_url="https://example.com/lp")
    browser.press("Save")
    browser.wait_for("Cost is an amount")
    assert browser.find("[name=cost]").get_attribute("aria-describedby") == browser.find(".wrong").get_attribute("id")
    assert browser.find("[name=utm_term]").get_attribute("value") == "roof repair", "what was typed stays"
    # Meanwhile somebody else changes what this page has not touched.
    server.data("PATCH", f"/calls/{call['id']}", {"attribution": {"fbclid": "meanwhile"}})
    browser.fill(cost="1,5", value="20", gclid="", referrer_url="x" * 2049)
    browser.press("Save")
    browser.wait_for("Referrer is too long")
    browser.fill(referrer_url="https://example.com/from")
    browser.press("Save")
    browser.wait_for("The call is changed")
    now = server.data("GET", f"/calls/{call['id']}")["call"]
    assert (now["value_cents"], now["cost_cents"]) == (2000, 150)
    known = {"source": "google", "landing_page_url": "https://example.com/lp", "referrer_url": "https://example.com/from", "utm_term": "roof repair", "fbclid": "meanwhile"}
    assert {name: value for name, value in now["attribution"].items() if value} == known


def test_an_attempt_keeps_the_names_of_its_own_headers(server, admin, endpoint):
    headers = lambda page: re.search(r'<pre id="curl".*?</pre>', page, re.DOTALL)[0]
    flow = server.flow(f"{endpoint.base}/broken", headers={"X-Old": "hush-hush"})
    call = server.report(flow)
    ended = lambda count: wait_until(lambda: server.deliveries(call_id=call["id"], status="failed") and server.deliveries(call_id=call["id"])[0]["attempt_count"] == count, 20)
    ended(3)
    [delivery] = server.deliveries(call_id=call["id"])
    server.data("PATCH", f"/call-flows/{flow['id']}", {"post_call_webhook": {"headers": {"X-Old": None, "X-New": "hush-hush"}}})
    page = admin.get(f"{admin.home}/deliveries/{delivery['id']}").text
    assert "X-Old: ••••" in headers(page) and "X-New" not in page and "hush-hush" not in page
    admin.post(f"{admin.home}/deliveries/{delivery['id']}/redeliver")
    ended(6)
    page = admin.get(f"{admin.home}/deliveries/{delivery['id']}").text
    assert "X-New: ••••" in headers(page) and "X-Old" not in headers(page), "the last attempt's"
    assert page.count('custom headers: <span class="mono">X-Old</span>') == 3


def test_a_wait_is_a_running_clock_of_the_readers_zone(server, admin, filled, receiver):
    with Callhook("--retry-delays=1h") as slow, Browser(slow.base, zone="America/New_York") as browser:
        visitor = first(slow)
        browser.become(visitor)
        receiver.answer = lambda _: (500, {}, b"")
        flow = slow.flow(receiver.base)
        slow.report(flow)
        wait_until(lambda: slow.deliveries()[0]["attempt_count"] == 1, what="the first attempt")
        browser.open(f"{visitor.home}/deliveries")
        waits = browser.find("time[data-until]")
        assert re.fullmatch(r"in 59:\d\d|in 1:00:00", waits.text), waits.text
        before = waits.text
        browser.wait_until(lambda: browser.find("time[data-until]").text != before, "a tick")
        made = browser.find("td.time time")
        assert made.get_attribute("title").endswith(" UTC")
        # The next page comes as the zone's own, before any script has run.
        page = browser.driver.execute_script("return fetch(location.href).then((answer) => answer.text())")
        utc = int(re.search(r"T(\d\d):", made.get_attribute("datetime"))[1])
        shown = re.search(r'data-form="minute"[^>]*>\d{1,2} \w{3} (\d\d):', page)
        assert int(shown[1]) == (utc - 5) % 24 or int(shown[1]) == (utc - 4) % 24


def test_what_was_typed_outlives_the_session(server, admin, filled):
    visitor = invited(admin, "late@example.com", "member")
    with Browser(server.base) as browser:
        browser.become(visitor)
        browser.open(f"{admin.home}/call-flows/{filled['good']['id']}")
        browser.fill(source="typed for long")
        # It ends elsewhere, in the middle of the form.
        assert visitor.post("/sign-out").status_code == 303
        browser.press("Save call flow")
        browser.wait_for("what you typed is kept")
        browser.fill(email="late@example.com", password=PASSWORD)
        browser.press("Sign in")
        browser.wait_for("You are signed in again")
        browser.press("Go on with it")
        browser.wait_for("Saved.")
        assert server.data("GET", f"/call-flows/{filled['good']['id']}")["call_flow"]["source"] == "typed for long"
