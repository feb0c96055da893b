"""The pages of call flows and calls: what was sent about each call, one flow of many, what is too long for a page, sample calls."""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium.webdriver.support.ui import Select

from harness import Callhook, Receiver, wait_until
from visitor import Browser, Texts, first, flaws_of_html, invited

# As long as a name may be, in characters that HTML writes in five bytes, with marks that belong to the letter before.
LONG_NAME = ("<\"'&>e\u0301\u0302\u0303" * 30)[:200]
PAGE_BYTES_MAX = 60 * 1024


def answer(received):
    """Refuses whoever calls from a number that ends in 9, at length."""
    is_refused = received.json["caller_number"].endswith("9")
    return (503, {f"X-Header-{at}": "<" * 200 for at in range(10)}, b"<" * 8192) if is_refused else (200, {}, b"taken")


@pytest.fixture(scope="module")
def endpoint():
    with Receiver(answer) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server():
    with Callhook("--retry-delays=1s,1h", "--ai-fallback=2s") as callhook:
        yield callhook


def attempts(server: Callhook, call: dict, count: int) -> dict:
    """The call's delivery, once it has so many attempts behind it."""
    found = lambda: [one for one in server.deliveries(call_id=call["id"]) if one["attempt_count"] == count]
    return wait_until(found, what=f"attempt {count}")[0]


def test_each_of_the_latest_calls_says_what_was_sent_of_it(server, admin, endpoint):
    flow = server.flow(endpoint.base)
    delivered = server.report(flow, caller_number="+13055559870")
    waiting = server.report(flow, caller_number="+13055559879")
    earlier = server.report(flow, caller_number="+13055559871", started_at="2020-02-03T10:00:00Z")
    attempts(server, delivered, 1), attempts(server, earlier, 1)
    second = attempts(server, waiting, 2)
    # A test about a call is no news of it.
    server.data("POST", f"/call-flows/{flow['id']}/test-webhook", {})
    page = admin.get(f"{admin.home}/call-flows/{flow['id']}").text
    rows = {re.search(r"/calls/([0-9a-f-]{36})", row)[1]: row for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if "/calls/" in row}
    told = lambda call: re.findall(r'class="badge (\w+)" href="([^"]+)" title="([^"]+)"><span aria-hidden="true">(\d+)</span><span class="out">\3</span>', rows[call["id"]])
    assert [(state, words, count) for state, _, words, count in told(delivered)] == [("delivered", "delivered, 1 attempt", "1")]
    assert [(state, words, count) for state, _, words, count in told(waiting)] == [("waiting", "waiting, 2 attempts", "2")]
    assert told(waiting)[0][1] == f"{admin.home}/deliveries/{second['id']}"
    days = re.findall(r'<th scope="rowgroup" colspan="5">(.*?)</th>', page)
    assert "Today" in days and any(">2020-02-03<" in day for day in days)
    admin.post(f"{admin.home}/deliveries/{second['id']}/cancel")
    assert 'title="cancelled, 2 attempts"' in admin.get(f"{admin.home}/call-flows/{flow['id']}").text
    nowhere = server.flow()
    server.report(nowhere)
    assert '<td class="told end"><span class="soft">nothing</span>' in admin.get(f"{admin.home}/call-flows/{nowhere['id']}").text


def test_a_flows_success_is_that_of_seven_days_and_says_so(endpoint, clocked, tmp_path):
    wall_clock, environment = clocked
    with Callhook("--retry-delays=1s", environment=environment, folder=tmp_path) as server:
        admin, flow = first(server), server.flow(endpoint.base)
        wall_clock.set(hours=0.1)
        server.settled(1, call_id=server.report(flow, caller_number="+13055559879")["id"])
        for hours in (24, 48, 5.5 * 24):
            wall_clock.set(hours)
            server.settled(1, call_id=server.report(flow)["id"])
        said = lambda: re.sub(r"\s+", " ", str(Texts(re.search(r'<span class="soft" title="Deliveries that ended today [^"]+">(.*?)</span><a', admin.get(f"{admin.home}/call-flows/{flow['id']}").text)[1])))
        assert re.fullmatch(r"75\.0 % delivered since \d+ \w{3} · median (\d+ ms|\d+\.\d\d s)", said()), said()
        # The failure is past, the deliveries after it are not.
        wall_clock.set(hours=7.5 * 24)
        assert said().startswith("100.0 % delivered in 7 days"), said()
        wall_clock.set(hours=20 * 24)
        assert said() == "nothing ended in 7 days"


@pytest.fixture(scope="module")
def many(server, admin):
    """More flows than a list to choose from has, the ones that are looked for among the oldest."""
    for name in ("Tampa Roofing", "Miami Roofing", "Naples Plumbing", *(f"Client {at}" for at in range(40))):
        server.data("POST", "/call-flows", {"name": name}, 201)
    flows = server.data("GET", "/call-flows", params={"limit": 500})["call_flows"]
    return {flow["name"]: flow["id"] for flow in flows}


@pytest.mark.parametrize("path", ["/calls", "/deliveries"])
def test_a_list_is_narrowed_to_any_flow_by_its_name(server, admin, many, path):
    page = admin.get(f"{admin.home}{path}").text
    assert 'name="call_flow" ' in page and page.count("<option value=") < 60 and "Tampa" not in page
    answer = admin.get(f"{admin.home}{path}?status=failed&call_flow_id=&call_flow=tampa+roof&zone=UTC")
    while "call_flow=" in answer.headers["location"]:
        answer = admin.get(answer.headers["location"])
    address = answer.headers["location"]
    assert parse_qs(urlsplit(address).query) == {"status": ["failed"], "call_flow_id": [many["Tampa Roofing"]]}
    page = admin.get(address).text
    assert f'<option value="{many["Tampa Roofing"]}" selected>Tampa Roofing</option>' in page and "Call flow: Tampa Roofing" in page
    answer = admin.get(f"{admin.home}{path}?status=failed&call_flow=roofing")
    assert answer.status_code == 422 and "2 call flows have \u2068“roofing”\u2069 in their name: choose one here." in Texts(answer.text).__str__()
    assert all(f'<option value="{many[name]}">{name}</option>' in answer.text for name in ("Tampa Roofing", "Miami Roofing")), "a choice"
    assert 'value="roofing"' not in answer.text and '<details class="narrow" open>' in answer.text, "what is chosen next is what counts"
    answer = admin.get(f"{admin.home}{path}?call_flow=Boston")
    assert answer.status_code == 422 and "No call flow has" in answer.text and "/export" not in answer.text
    assert admin.get(f"{admin.home}/calls/export?call_flow=Boston").status_code == 422, "no more than what was asked for"
    assert admin.get(f"{admin.home}/deliveries/redeliver?status=failed&call_flow=Boston").status_code == 422
    assert admin.get(f"{admin.home}{path}?call_flow=%00a").status_code == 422


def test_a_number_gets_any_flow_by_its_name(server, admin, many):
    form = {"phone_number": "+15735550001", "call_flow_id": "", "call_flow": "Roofing"}
    answer = admin.post(f"{admin.home}/numbers", form)
    assert answer.status_code == 422 and 'value="+15735550001"' in answer.text and many["Miami Roofing"] in answer.text
    assert admin.post(f"{admin.home}/numbers", form | {"call_flow": "naples"}).status_code == 303
    number = server.data("GET", "/numbers")["numbers"][0]
    assert number["call_flow_id"] == many["Naples Plumbing"]
    page = f"{admin.home}/numbers/{number['id']}"
    assert f'<option value="{many["Naples Plumbing"]}" selected>' in admin.get(page).text, "the chosen one is there, however old"
    assert "Naples Plumbing" in admin.get(f"{admin.home}/numbers").text
    answer = admin.post(page, form | {"call_flow_id": many["Naples Plumbing"], "call_flow": "Roofing"})
    assert answer.status_code == 422 and f'<option value="{many["Naples Plumbing"]}" selected>' in answer.text, "the flow that it has stays"
    assert admin.post(page, form | {"call_flow_id": many["Tampa Roofing"], "call_flow": ""}).status_code == 303
    assert server.data("GET", f"/numbers/{number['id']}")["number"]["call_flow_id"] == many["Tampa Roofing"]


def test_a_number_that_is_refused_is_told_at_its_field_above_the_list(server, admin, many):
    server.data("POST", "/numbers", {"phone_number": "+15735550002"}, 201)
    with Browser(server.base) as browser:
        browser.become(admin)
        browser.open(f"{admin.home}/numbers")
        assert browser.find("main > details").rect["y"] < browser.find("main table").rect["y"], "above the list"
        browser.press("New number")
        assert not browser.find("[name=utm_source]").is_displayed()
        labels = [label.text for label in browser.all("main > details form label > span")]
        assert [label for label in labels if label] == ["Number", "Name", "Call flow", "or by its name", "Traffic source"]
        browser.fill(phone_number="123")
        browser.press("Add the number")
        browser.wait_for("Number ")
        field = browser.find("[name=phone_number]")
        assert field.is_displayed() and field.get_attribute("aria-invalid") == "true"
        assert browser.find(f"#{field.get_attribute('aria-describedby')}").text.startswith("Number ")
        assert len(browser.all("[role=alert]")) == 1
    form = {"phone_number": "+15735550003", "utm_campaign": "x" * 3000}
    refused = admin.post(f"{admin.home}/numbers", form).text
    assert '<details open><summary>UTM defaults' in refused and 'name="utm_campaign"' in refused.split('aria-invalid="true"')[0]


def test_a_number_is_found_as_it_is_written_and_by_its_name_and_source():
    with Callhook() as server:
        admin = first(server)
        numbers = [f"+1573555{at:04}" for at in range(30)]
        for at, number in enumerate(numbers):
            named = {"friendly_name": "Van 50%", "source": "google"} if at == 3 else {}
            server.data("POST", "/numbers", {"phone_number": number} | named, 201)
        found = lambda page: re.findall(r'<td class="caller lead"><a [^>]*>([^<]+)</a>', page)
        page = admin.get(f"{admin.home}/numbers").text
        assert len(found(page)) == 25 and 'type="search"' in page
        for text in ("+1 573-555-0003", "(573) 555 0003", "0003", "van", "50%25", "Google"):
            page = admin.get(f"{admin.home}/numbers?search={text.replace('+', '%2B')}").text
            assert found(page) == ["+1 573-555-0003"] and "Show all" in page, text
        # A page of what was found leads to the next one of it.
        page = admin.get(f"{admin.home}/numbers?search=555-00").text
        older = unescape(re.search(r'rel="next" href="([^"]+)"', page)[1])
        assert len(found(page)) == 25 and "search=555-00" in older and len(found(admin.get(older).text)) == 5
        page = admin.get(f"{admin.home}/numbers?search=Boston").text
        assert found(page) == [] and "No number, name or traffic source has that in it." in page and "No number yet" not in page


def test_flows_of_one_name_are_told_apart(server, admin, many):
    twins = [server.data("POST", "/call-flows", {"name": "Twin"}, 201)["call_flow"] for _ in range(2)]
    page = admin.get(f"{admin.home}/calls?call_flow=twin").text
    labels = {re.search(f'<option value="{twin["id"]}">([^<]+)<', page)[1] for twin in twins}
    assert len(labels) == 2 and all(label.startswith("Twin · made 20") for label in labels)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_flow_is_searched_for_and_filtered_by_with_and_without_scripts(scripts, server, admin, many):
    with Browser(server.base, scripts=scripts) as browser:
        browser.become(admin)
        browser.open(f"{admin.home}/deliveries")
        # The driver takes whatever lies in a closed fold for hidden; the browser knows better.
        browser.driver.execute_script("document.querySelector('.narrow').open = true")
        browser.fill(call_flow="Naples")
        browser.press("Filter")
        browser.wait_until(lambda: browser.path.endswith(f"call_flow_id={many['Naples Plumbing']}"), "the filtered list")
        browser.open(f"{admin.home}/call-flows")
        browser.fill(search="naples")
        browser.press("Search")
        browser.wait_until(lambda: [link.text for link in browser.all("#flows tbody a")] == ["Naples Plumbing"], "the flow")
        browser.press("Naples Plumbing")
        browser.wait_until(lambda: browser.path.endswith(many["Naples Plumbing"]), "its page")


@pytest.fixture(scope="module")
def worst(endpoint):
    """Names, texts and answers as long as they may be, more of everything than a page shows."""
    with Callhook("--retry-delays=1s,1h") as server:
        server.admin = first(server)
        hook = {"enabled": True, "url": f"{endpoint.base}/{'a' * 1900}", "retry_delays_seconds": [1] * 11}
        flows = [server.data("POST", "/call-flows", {"name": LONG_NAME, "post_call_webhook": hook}, 201)["call_flow"] for _ in range(60)]
        for at in range(60):
            number = {"phone_number": f"+157355500{at:02}", "friendly_name": LONG_NAME, "source": LONG_NAME * 5, "call_flow_id": flows[at]["id"]}
            server.data("POST", "/numbers", number, 201)
            server.data("POST", "/sources", {"kind": "twilio", "name": LONG_NAME, "auth_token": "token"}, 201)
        for at in range(30):
            server.admin.post(f"{server.admin.home}/settings/invitations", {"email": f"{at}{'a' * 60}@{'b' * 60}.{'c' * 60}.example.com", "role": "viewer"})
        for at in range(20):
            key = server.data("POST", "/api-keys", {"name": LONG_NAME, "role": "viewer"}, 201)["api_key"]
            server.call("DELETE", f"/api-keys/{key['id']}", expect=204)
        long = "<p>\u00e9\U0001f468\u200d\U0001f469\u200d\U0001f467 " * 3_000
        for at, flow in enumerate(flows):
            call = server.report(flow, caller_number=LONG_NAME if at % 2 else "9" * 9, transcription=long,
                                 attribution={"source": f"{at}{LONG_NAME}", "landing_page_url": f"https://example.com/?{'a=b&' * 500}"})
            server.data("PUT", f"/calls/{call['id']}/analysis", {"summary": long[:20_000], "qualified_ai": True, "qualification_reason": long[:20_000]})
        server.call_id, server.flow_id, server.long = call["id"], flows[-1]["id"], long
        failing = server.deliveries(call_flow_id=flows[-2]["id"])[0]["id"]
        wait_until(lambda: server.delivery(failing)["status"] == "failed", 30, "twelve attempts")
        server.data("POST", f"/call-flows/{server.flow_id}/test-webhook", {"post_call_webhook": hook | {"wait_for_ai": True}})
        server.failed, server.test = failing, server.deliveries(test="true")[0]["id"]
        yield server


def transferred(visitor, path: str) -> int:
    """Bytes of an answer as a browser gets it, which takes it packed."""
    with visitor.get(path, stream=True) as answer:
        return len(answer.raw.read(decode_content=False))


def test_at_the_worst_a_page_stays_small(worst, tmp_path):
    admin, home = worst.admin, worst.admin.home
    number = worst.data("GET", "/numbers")["numbers"][0]["id"]
    paths = {
        "overview": "", "flows": "/call-flows", "flows-searched": "/call-flows?search=%3C", "flow": f"/call-flows/{worst.flow_id}",
        "flow-tested": f"/call-flows/{worst.flow_id}?test={worst.test}", "calls": "/calls", "call": f"/calls/{worst.call_id}",
        "calls-of-flow": f"/calls?call_flow_id={worst.flow_id}", "calls-unclear": "/calls?call_flow=%3C", "deliveries": "/deliveries",
        "delivery": f"/deliveries/{worst.failed}", "delivery-test": f"/deliveries/{worst.test}", "numbers": "/numbers", "number": f"/numbers/{number}",
        "sources": "/sources", "settings": "/settings", "settings-further": "/settings?invitations=10",
    }
    pages = {name: admin.get(home + path).text for name, path in paths.items()}
    assets = {path: transferred(admin, path) for path in re.findall(r'(?:href|src)="(/assets/[^"]+)"', pages["overview"])}
    sizes = {name: len(page.encode()) + sum(assets.values()) for name, page in pages.items()}
    assert {name: size for name, size in sizes.items() if size > PAGE_BYTES_MAX} == {}, sizes
    assert flaws_of_html(pages, tmp_path) == ""
    for name in ("flows", "calls", "deliveries", "numbers", "sources"):
        assert 'rel="next"' in pages[name], f"{name} has further pages"
    assert "Further invitations" in pages["settings"] and "Further keys" in pages["settings"] and "Earlier invitations" in pages["settings-further"]
    # Where a text ends, a letter keeps its marks.
    assert "e\u0301\u2026" not in pages["flows"] and "e\u0301\u0302\u2026" not in pages["flows"]


def test_what_is_too_long_for_a_page_has_an_address_of_its_own(worst):
    admin, call = worst.admin, f"{worst.admin.home}/calls/{worst.call_id}"
    page = admin.get(call).text
    assert f"The whole transcript, {len(worst.long.encode()) // 1024 + 1} KB" in page
    for text, whole in (("transcript", worst.long), ("summary", worst.long[:20_000]), ("qualification-reason", worst.long[:20_000])):
        assert f'href="{call}/whole/{text}"' in page
        answer = admin.get(f"{call}/whole/{text}")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8" and answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content.decode() == whole
    landing = worst.data("GET", f"/calls/{worst.call_id}")["call"]["attribution"]["landing_page_url"]
    assert f'href="{call}/whole/landing_page_url">all of it, 2 KB' in page and admin.get(f"{call}/whole/landing_page_url").text == landing
    assert admin.get(f"{call}/whole/nothing").status_code == 404
    test = f"{worst.admin.home}/deliveries/{worst.test}"
    assert f'href="{test}/body"' in admin.get(test).text and f'href="{test}/body"' in admin.get(f"{admin.home}/call-flows/{worst.flow_id}?test={worst.test}").text
    assert admin.get(f"{test}/body").json()["transcription"] == worst.long
    assert "--data-binary @body.json" in admin.get(test).text
    assert admin.get(f"{admin.home}/call-flows/{worst.flow_id}/payload").json()["call_flow_name"] == LONG_NAME
    failed = f"{worst.admin.home}/deliveries/{worst.failed}"
    assert f'href="{failed}/attempts"' in admin.get(failed).text
    attempts = admin.get(f"{failed}/attempts")
    assert attempts.headers["content-type"].startswith("text/plain") and attempts.text.count("# http_503: ") == 12
    assert attempts.text.count("<" * 4096) == 12, "all that is kept of each answer"


def test_what_is_known_of_a_call_is_shown_in_words_and_whole(server, admin):
    landing = f"https://yoursite.example/hvac?gclid={'x' * 200}"
    call = server.report(None, tracking_number="+15735559999", attribution={"landing_page_url": landing})
    server.data("PUT", f"/calls/{call['id']}/analysis", {"summary": "Asked for a pizza.", "ai_category": "wrong_number"})
    page = admin.get(f"{admin.home}/calls/{call['id']}").text
    assert f"<dt>Landing page</dt><dd>{landing}</dd>" in page and "<dt>Category</dt><dd>wrong number</dd>" in page


def test_the_result_of_a_test_says_what_it_was_for_when_the_form_shows_something_else(server, admin, endpoint):
    flow = server.flow(f"{endpoint.base}/saved", headers={"X-Token": "hush"})
    page = f"{admin.home}/call-flows/{flow['id']}"
    form = {"name": flow["name"], "recording": "on", "ai_enabled": "on", "enabled": "on"}
    colleague = invited(admin, "colleague@example.com", "member")
    result = lambda fields: admin.post(f"{page}/test", form | fields).headers["location"].removesuffix("#test")
    address = result({"url": f"{endpoint.base}/typed", "header_name": "X-Token", "header_value": "canary"})
    assert "canary" not in address and "typed=1" in address
    own = admin.get(address).text
    assert f'value="{endpoint.base}/typed"' in own and "The form shows what is saved" not in own, "what was typed stands there"
    shared = colleague.get(address).text
    assert f'value="{endpoint.base}/saved"' in shared and f'to <span class="mono">{endpoint.base}/typed</span>' in shared
    assert "The form shows what is saved, which is another address." in shared and "canary" not in shared
    address = result({"url": f"{endpoint.base}/saved", "wait_for_ai": "on"})
    assert "It was sent with settings that were typed then. The form shows what is saved." in colleague.get(address).text
    address = result({"url": f"{endpoint.base}/saved", "header_name": "X-Token", "header_value": "••••"})
    assert "The form shows" not in admin.get(address).text, "it was for what is saved"


def test_a_refused_test_does_not_make_the_next_save_overwrite_another_change(server, admin, endpoint):
    flow = server.flow(f"{endpoint.base}/saved")
    page = f"{admin.home}/call-flows/{flow['id']}"
    version = lambda text: re.search(r'name="version" value="(\d+)"', text)[1]
    form = {"name": "Mine", "recording": "on", "ai_enabled": "on", "enabled": "on", "version": version(admin.get(page).text)}
    server.data("PATCH", f"/call-flows/{flow['id']}", {"name": "Theirs"})
    refused = admin.post(f"{page}/test", form | {"url": "nowhere"})
    assert refused.status_code == 422 and version(refused.text) == form["version"]
    saved = admin.post(page, form | {"url": f"{endpoint.base}/mine", "version": version(refused.text)})
    assert saved.status_code == 422 and "changed by somebody else meanwhile" in saved.text
    assert server.data("GET", f"/call-flows/{flow['id']}")["call_flow"]["name"] == "Theirs"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_words_of_the_chart_can_be_read_on_a_phone(server, admin, dark):
    for width, shown in ((320, ".chart.small"), (1280, ".chart:not(.small)")):
        with Browser(server.base, width=width, dark=dark) as browser:
            browser.become(admin)
            browser.open(admin.home)
            assert [chart.is_displayed() for chart in browser.all(".chart")].count(True) == 1
            words = [word.rect for word in browser.all(f"{shown} text") if word.get_attribute("textContent").strip()]
            assert len(words) >= 4 and all(word["height"] >= 11 for word in words), "letters of some 10 pixels"
            overlapping = [
                (one, other) for at, one in enumerate(words) for other in words[at + 1:]
                if one["x"] < other["x"] + other["width"] and other["x"] < one["x"] + one["width"]
                and one["y"] < other["y"] + other["height"] and other["y"] < one["y"] + one["height"]
            ]
            assert overlapping == []
            assert all(word["x"] >= 0 and word["x"] + word["width"] <= width for word in words)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_from_an_empty_list_a_sample_call_is_a_press_away(scripts):
    with Receiver() as receiver, Callhook("--ai-fallback=1h") as server, Browser(server.base, scripts=scripts) as browser:
        visitor = first(server)
        browser.become(visitor)
        browser.open(f"{visitor.home}/calls")
        browser.press("make the first one")
        browser.wait_for("No call flow yet")
        flow = server.flow()
        browser.open(f"{visitor.home}/calls")
        browser.press("set up the webhook of Google Ads")
        browser.wait_for("Once the Post-Call Webhook is ticked and saved")
        hook = {"enabled": True, "url": receiver.base, "wait_for_ai": True}
        server.data("PATCH", f"/call-flows/{flow['id']}", {"post_call_webhook": hook})
        second = server.data("POST", "/call-flows", {"name": "Website", "post_call_webhook": hook | {"wait_for_ai": False}}, 201)["call_flow"]
        browser.open(f"{visitor.home}/calls")
        Select(browser.find("form[action$='/sample'] select")).select_by_visible_text("Google Ads")
        browser.press("Send a sample call")
        browser.wait_for("A sample call was reported.")
        assert "made in the dashboard, as a sample" in browser.text()
        payload = receiver.next().json
        assert (payload["source"], payload["call_flow_name"], payload["ai_processed"], payload["ai_score"]) == ("sample", "Google Ads", True, 85)
        assert payload["call_id"] in browser.path, "it is a call as any other"
        call, = server.data("GET", "/calls")["calls"]
        assert (call["id"], call["status"], call["reported_by"], call["attribution"]["source"]) == (payload["call_id"], "completed", "sample", "sample")
        assert wait_until(lambda: server.deliveries(call_id=call["id"], status="delivered"), what="the delivery")
        browser.open(f"{visitor.home}/calls")
        assert browser.find("td.caller .tag").text == "sample"
        browser.open(f"{visitor.home}/call-flows/{second['id']}")
        browser.press("Send a sample call")
        browser.wait_for("A sample call was reported.")
        assert receiver.next().json["call_flow_name"] == "Website"
