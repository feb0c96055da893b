"""The overview and the dot where very much is wrong."""

import re

from harness import Callhook, free_port, wait_until
from visitor import Browser, Texts, first, invited


def test_of_very_many_that_fail_it_is_said_that_there_may_be_more():
    with Callhook("--retry-delays=1h") as server:
        admin = first(server)
        dead = f"http://127.0.0.1:{free_port()}/x"
        flows = [server.flow(dead) for _ in range(51)]
        shown = lambda: re.search(r'<a id="state"[^>]*>(?:<[^>]*>)*([^<]*)', admin.get(f"{admin.home}/settings").text)[1]
        for flow in flows[:49]:
            server.report(flow)
        wait_until(lambda: "49 destinations are failing" in shown(), what="49 that fail")
        assert "or more" not in admin.get(admin.home).text
        for flow in flows[49:]:
            server.report(flow)
        wait_until(lambda: "50 or more destinations are failing" in shown(), what="more than are told of")
        page = admin.get(admin.home).text
        assert page.count(">Mend</a>") == page.count(">What waits</a>") == page.count(">no connection</a>") == 12 and "And 38 or more besides" in page
        assert f'href="{admin.home}/deliveries?status=failed">Look at all that failed' in page


def test_the_first_line_says_whether_anything_is_wrong_right_now(receiver):
    receiver.answer = lambda received: (401 if received.path == "/broken" else 200, {}, b"")
    with Callhook("--retry-delays=1h") as server:
        admin = first(server)
        words = lambda: re.sub(r"\s+", " ", " ".join(Texts(admin.get(admin.home).text.partition("<main")[2]).texts))
        assert "No call flow yet" in words() and "Right now" not in words(), "nothing but the next step"
        well, broken = server.flow(f"{receiver.base}/well"), server.flow(f"{receiver.base}/broken")
        assert "No call yet" in words() and "Today" not in words()
        server.report(well, attribution={"source": "google"})
        server.settled(1)
        assert "Nothing fails; nothing waits to be sent again." in words()
        assert "nothing fails, nothing is due" in admin.get(admin.home).text
        assert "Oldest due 0 s nothing is due" in words() and "yesterday by now:" not in words()
        server.report(broken)
        wait_until(lambda: "1 call flow fails; 1 delivery waits to be sent again." in words(), what="the failure")
        page = admin.get(admin.home).text
        delivery = server.deliveries(call_flow_id=broken["id"])[0]["id"]
        assert f'href="{admin.home}/deliveries/{delivery}">401 refused access</a>' in page
        waits = f"{admin.home}/deliveries?call_flow_id={broken['id']}&status=scheduled"
        assert f'href="{waits}"'.replace("&", "&amp;") in page and f'id="d-{delivery}"' in admin.get(waits).text and ">Redeliver<" not in page
        assert f'id="state" class="state failed" href="{admin.home}/call-flows/{broken["id"]}"' in page, "the dot leads to what is to be mended"
        assert "google 1 " in words() and "Yesterday by now" not in words(), "there was none"
        viewer = invited(admin, "viewer@example.com", "viewer")
        page = viewer.get(admin.home).text
        assert "What waits" in page and ">Redeliver<" not in page and ">Mend<" not in page


def test_a_slash_at_the_end_leads_to_the_same_page(server, admin):
    answer = admin.get(f"{admin.home}/")
    assert answer.status_code == 303 and answer.headers["location"] == admin.home
    assert admin.get("/b/018f3c1e-0000-7000-8000-000000000000/").status_code == 404


def test_all_pages_write_times_and_counts_as_the_reader_does(server, admin):
    server.report(None, tracking_number="+15735559999")
    call = server.data("GET", "/calls")["calls"][0]["id"]
    with Browser(server.base) as browser:
        browser.become(admin)
        browser.driver.execute_cdp_cmd("Emulation.setLocaleOverride", {"locale": "en-US"})
        clock = r"\b[1-9]\d?:\d\d(:\d\d)?\s[AP]M\b"
        for path in ("/calls", f"/calls/{call}"):
            browser.open(f"{admin.home}{path}")
            times = [time.text for time in browser.all("main time[data-form]")]
            assert times and all(re.search(clock, time) for time in times), times
