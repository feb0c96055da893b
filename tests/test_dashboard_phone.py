"""The dashboard where there is little room: on a phone, at twice the size, and with names as long as they may be."""

import pytest

from harness import Callhook, Receiver, wait_until
from visitor import Browser

LONG = "HVAC emergency line, after hours, weekends and holidays, of the whole Tampa Bay area and beyond"


@pytest.fixture(scope="module")
def server():
    with Callhook("--retry-delays=1s") as callhook:
        yield callhook


@pytest.fixture(scope="module")
def filled(server, admin):
    """A flow of a long name that fails, one that does not, and calls of which much is known."""
    with Receiver(lambda received: (401 if "broken" in received.path else 200, {}, b"")) as receiver:
        hook = {"enabled": True, "url": f"{receiver.base}/taken"}
        taken = server.data("POST", "/call-flows", {"name": "Google Ads", "post_call_webhook": hook}, 201)["call_flow"]
        hook = {"enabled": True, "url": f"{receiver.base}/broken"}
        broken = server.data("POST", "/call-flows", {"name": LONG, "post_call_webhook": hook}, 201)["call_flow"]
        server.data("POST", "/numbers", {"phone_number": "+15735551234", "friendly_name": LONG, "call_flow_id": taken["id"], "source": "van"}, 201)
        for at in range(24):
            caller = "+13055559876" if at % 2 else "anonymous"
            call = server.report(broken if at % 3 == 0 else taken, caller_number=caller, attribution={"source": LONG if at % 4 == 0 else "google"})
            if at % 5 == 0:
                server.data("PUT", f"/calls/{call['id']}/analysis", {"summary": LONG * 3, "ai_score": 85})
        wait_until(lambda: len(server.deliveries(status="failed")) == 8 and not server.deliveries(status="scheduled"), 30, "the failures")
        yield {"taken": taken["id"], "broken": broken["id"], "call": call["id"]}


@pytest.fixture
def phone(server, admin, filled):
    with Browser(server.base, width=320, height=640) as browser:
        browser.become(admin)
        yield browser


def is_within(browser: Browser, element) -> bool:
    return browser.driver.execute_script(
        "const box = arguments[0].getBoundingClientRect(); return box.width > 0 && box.left >= 0 && box.right <= innerWidth", element)


@pytest.mark.parametrize("width", [320, 390, 640])
def test_the_account_and_the_way_out_are_in_the_menu_of_businesses(width, server, filled, admin):
    with Browser(server.base, width=width) as browser:
        browser.become(admin)
        browser.open(admin.home)
        browser.find(".switch summary").click()
        assert is_within(browser, browser.find(".switch ul"))
        assert browser.find(".switch").rect["y"] < browser.find(".head h1").rect["y"] + 40, "it stands beside the title"
        browser.press("Account")
        browser.wait_until(lambda: browser.path == "/account", "the account")
        browser.open(admin.home)
        browser.find(".switch summary").click()
        assert browser.find(".switch form[action='/sign-out'] button").is_displayed()


def test_on_a_large_screen_the_account_stands_at_the_side_alone(server, admin, filled):
    with Browser(server.base) as browser:
        browser.become(admin)
        browser.open(admin.home)
        browser.find(".switch summary").click()
        assert [out.is_displayed() for out in browser.all("form[action='/sign-out']")] == [True, False]


@pytest.mark.parametrize("width", [320, 390, 600])
def test_the_bar_names_every_page_in_full(width, server, admin, filled):
    with Browser(server.base, width=width) as browser:
        browser.become(admin)
        browser.open(admin.home)
        rooms = browser.all(".side li a")
        assert len(rooms) == 7 and all(is_within(browser, room) for room in rooms)
        assert browser.driver.execute_script("return [...document.querySelectorAll('.side li a')].every((room) => room.scrollWidth <= room.clientWidth)")


@pytest.mark.parametrize("width, height", [(320, 104), (640, 104), (800, 104), (1280, 64)])
def test_a_long_name_that_fails_leaves_the_head_low_and_says_that_it_fails(width, height, server, admin, filled):
    with Browser(server.base, width=width) as browser:
        browser.become(admin)
        browser.open(f"{admin.home}/settings")
        assert browser.text("#state").endswith("is failing")
        assert browser.find(".head").rect["height"] <= height
        assert not browser.is_wider_than_its_window()


def test_what_the_keyboard_goes_to_is_not_behind_the_bar(phone, admin):
    phone.open(f"{admin.home}/deliveries")
    hidden = phone.driver.execute_script("""
        const bar = document.querySelector('.side').getBoundingClientRect();
        const behind = [];
        for (const link of document.querySelectorAll('main a[href], main input')) {
            if (!link.checkVisibility()) continue;
            link.focus();
            if (link.getBoundingClientRect().bottom > bar.top) behind.push(link.outerHTML);
        }
        return behind;""")
    assert hidden == []


@pytest.mark.parametrize("path, shown", [
    ("/call-flows", ["failing since", "delivered"]), ("/calls", ["completed", "+1 305-555-9876"]),
    ("/deliveries", ["failed", "delivered", "401", "+1 305-555-9876", "Google Ads", "127.0.0.1"]), ("/numbers", ["+1 573-555-1234", "Google Ads", "van"]),
    ("/settings", ["admin", "ada@example.com"]),
])
def test_a_row_on_a_phone_shows_what_the_page_is_for(path, shown, phone, admin):
    phone.open(admin.home + path)
    assert not phone.is_wider_than_its_window()
    rows = phone.all("table.lines tbody tr")
    assert rows and all(is_within(phone, cell) for cell in phone.all("table.lines .lead, table.lines .end"))
    text = " ".join(row.text for row in rows)
    assert all(words in text for words in shown), text
    assert max(row.rect["height"] for row in rows) <= 80
    # However it is laid out, it is a table to who hears it.
    assert (rows[0].aria_role, phone.find("table.lines .lead").aria_role, phone.find("table.lines").aria_role) == ("row", "cell", "table")


def test_the_latest_calls_of_a_flow_can_be_read_on_a_phone(phone, admin, filled):
    phone.open(f"{admin.home}/call-flows/{filled['taken']}")
    row = phone.find("#lately tbody tr:not(.day)")
    assert "completed" in row.text and "2:25" in row.text and row.rect["height"] <= 64
    assert all(is_within(phone, badge) for badge in phone.all("#lately td.told .badge"))


@pytest.mark.parametrize("path", ["/calls", "/deliveries", "/call-flows"])
def test_a_list_on_a_screen_fits_with_rows_of_one_height(path, server, admin, filled):
    with Browser(server.base) as browser:
        browser.become(admin)
        browser.open(admin.home + path)
        assert browser.driver.execute_script("const list = document.querySelector('.wide'); return list.scrollWidth <= list.clientWidth")
        heights = {row.rect["height"] for row in browser.all(".wide tbody tr")}
        assert len(heights) == 1 and heights.pop() <= 33


def test_of_each_delivery_the_list_says_who_called_and_what_was_answered(server, admin, filled):
    erased = server.report({"id": filled["taken"]}, caller_number="+442079460123")["id"]
    delivery = wait_until(lambda: server.deliveries(call_id=erased), what="its delivery")[0]["id"]
    row = lambda: admin.get(f"{admin.home}/deliveries").text.split(f'id="d-{delivery}"')[1].split("</tr>")[0]
    assert '<td class="caller cut lead">+44 20 7946 0123</td>' in row()
    refused = admin.get(f"{admin.home}/deliveries?status=failed").text
    assert '<td class="cut" title="http_401">401 refused access</td>' in refused
    admin.post(f"{admin.home}/calls/{erased}/erase")
    assert "+44 20" not in admin.get(f"{admin.home}/deliveries").text
