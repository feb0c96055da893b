"""Who may do what at the dashboard, from outside: two businesses, three roles, other sites, guessers, links and sessions."""

import re
import subprocess

import pytest
import requests

from harness import BINARY, SECRET_KEY, Callhook, wait_until
from visitor import PASSWORD, Texts, Visitor, first, invited, setup_link

HOOK = {"enabled": True, "url": "http://127.0.0.1:9/x"}


@pytest.fixture(scope="module")
def server():
    with Callhook("--retry-delays=1h") as callhook:
        yield callhook


@pytest.fixture(scope="module")
def things(server, admin):
    """One of each, as the paths name them."""
    flow = server.data("POST", "/call-flows", {"name": "Google Ads", "post_call_webhook": HOOK}, 201)["call_flow"]
    number = server.data("POST", "/numbers", {"phone_number": "+15735551234", "call_flow_id": flow["id"]}, 201)["number"]
    source = server.data("POST", "/sources", {"kind": "twilio", "name": "Twilio", "auth_token": "token"}, 201)["source"]
    key = server.data("POST", "/api-keys", {"name": "Phone system", "role": "viewer"}, 201)["api_key"]
    call = server.report(flow, transcription="Hello")
    delivery = wait_until(server.deliveries, what="the delivery")[0]
    redelivery = server.data("POST", "/webhook-deliveries/redeliver", {"filter": {"status": "skipped"}}, 202)["redelivery_id"]
    member = re.search(r"/settings/members/([0-9a-f-]{36})", admin.get(f"{admin.home}/settings").text)[1]
    return {"flow": flow["id"], "number": number["id"], "source": source["id"], "key": key["id"], "call": call["id"],
            "delivery": delivery["id"], "redelivery": redelivery, "member": member}


# Every page, and the least role that sees it.
PAGES = {
    "": "viewer", "/call-flows": "viewer", "/call-flows/{flow}": "viewer", "/calls": "viewer", "/calls/{call}": "viewer", "/calls/export": "viewer",
    "/deliveries": "viewer", "/deliveries/{delivery}": "viewer", "/deliveries/redeliver?status=failed": "member", "/numbers": "viewer",
    "/redeliveries": "viewer", "/redeliveries/{redelivery}": "viewer",
    "/numbers/{number}": "viewer", "/sources": "viewer", "/sources/{source}": "admin", "/settings": "viewer",
    "/call-flows/{flow}/payload": "viewer", "/calls/{call}/whole/transcript": "viewer", "/deliveries/{delivery}/body": "viewer",
    "/deliveries/{delivery}/attempts": "viewer",
}
# Every change, its form, and the least role that may make it.
CHANGES = {
    "/call-flows": ({"name": "Another"}, "member"), "/call-flows/{flow}": ({"name": "Google Ads", "enabled": "on", "url": HOOK["url"]}, "member"),
    "/call-flows/{flow}/test": ({"url": HOOK["url"]}, "member"), "/call-flows/{flow}/rotate-secret": ({}, "admin"),
    "/calls/sample": ({"call_flow_id": "{flow}"}, "member"), "/calls/{call}": ({"value": "12.50", "source": "bing"}, "member"),
    "/deliveries/redeliver": ({"id": "{delivery}"}, "member"), "/deliveries/{delivery}/cancel": ({}, "member"),
    "/deliveries/{delivery}/redeliver": ({}, "member"), "/deliveries/{delivery}/redeliver-now": ({}, "member"), "/numbers": ({"phone_number": "+15735550000"}, "member"),
    "/numbers/{number}": ({"phone_number": "+15735551234", "friendly_name": "Van"}, "member"),
    "/sources": ({"name": "Second", "auth_token": "t"}, "admin"), "/sources/{source}": ({"name": "Twilio", "auth_token": "••••"}, "admin"),
    "/settings/retention": ({"payload_days": "30", "sure": "30/"}, "admin"), "/settings/keys": ({"name": "k", "role": "viewer"}, "admin"),
    "/settings/keys/{key}/revoke": ({}, "admin"), "/settings/invitations": ({"email": "x@example.com", "role": "viewer"}, "admin"),
    "/settings/members/{member}": ({"role": "admin"}, "admin"), "/numbers/{number}/delete": ({}, "member"), "/sources/{source}/delete": ({}, "admin"),
    "/calls/{call}/erase": ({}, "member"), "/call-flows/{flow}/delete": ({}, "member"),
}
RANKS = ["viewer", "member", "admin"]


def fill(form: dict, things: dict) -> dict:
    return {name: value.format(**things) for name, value in form.items()}


def test_nobody_sees_or_changes_anything_of_another_business(server, things):
    other = subprocess.run([BINARY, "businesses", "create", "Other", "--data-dir", server.folder / "data"], capture_output=True, text=True)
    assert other.returncode == 0, other.stderr
    stranger = Visitor(server.base)
    link = subprocess.run([BINARY, "users", "add", "--email", "eve@example.com", "--business", "Other", "--role", "admin", "--data-dir", server.folder / "data"],
                          capture_output=True, text=True, env={"CALLHOOK_SECRET_KEY": SECRET_KEY} | server.environment)
    link = re.search(r"http\S+/invitation/\S+", link.stdout + link.stderr)[0]
    answer = stranger.post(link, {"name": "Eve", "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    own, home = answer.headers["location"], first_home(server)
    assert own != home
    for base in (home, own):
        for path in PAGES:
            # In her own business there is nothing by these ids.
            if base == own and "{" not in path:
                continue
            assert stranger.get(base + path.format(**things)).status_code == 404, path
        for path, (form, _) in CHANGES.items():
            if base == own and "{" not in path:
                continue
            answer = stranger.post(base + path.format(**things), fill(form, things))
            assert answer.status_code == 404 or answer.status_code == 303 and "none-redelivered" in answer.headers["location"], f"{path}: {answer.status_code}"
    assert stranger.get(f"{home}/deliveries/events").status_code == 404
    for page in ("", "/calls", "/deliveries", "/call-flows"):
        text = str(Texts(stranger.get(own + page).text))
        assert "Google Ads" not in text and "+1 305" not in text
    assert server.call("GET", f"/calls/{things['call']}").json()["data"]["call"]["value_cents"] is None, "nothing was changed"


def first_home(server) -> str:
    visitor = Visitor(server.base)
    visitor.sign_in("ada@example.com")
    return visitor.home


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_a_role_may_what_it_says_and_no_more(server, admin, things, role):
    person = invited(admin, f"{role}@example.com", role)
    for path, least in PAGES.items():
        allowed = RANKS.index(role) >= RANKS.index(least)
        assert person.get(person.home + path.format(**things)).status_code == (200 if allowed else 403), path
    for path, (form, least) in CHANGES.items():
        if RANKS.index(role) < RANKS.index(least):
            answer = person.post(person.home + path.format(**things), fill(form, things))
            assert answer.status_code == 403 and "ask an admin" in answer.text, path
    # What is not allowed is not offered either.
    page = person.get(f"{person.home}/call-flows/{things['flow']}").text
    assert ("Save call flow" in page) and ("disabled" in page) == (role == "viewer")
    assert "Make a new signing secret" not in page


def test_without_a_session_there_is_nothing_but_the_door(server, admin, things):
    stranger = Visitor(server.base)
    for path in PAGES:
        answer = stranger.get(admin.home + path.format(**things))
        assert answer.status_code == 303 and answer.headers["location"].startswith("/sign-in?to=%2Fb%2F"), path
    for path, (form, _) in CHANGES.items():
        answer = stranger.post(admin.home + path.format(**things), fill(form, things))
        assert answer.status_code == 401 and 'name="kept"' in answer.text, path
    for path in ("/account", "/account/name"):
        assert stranger.get(path).status_code == 303
    assert stranger.get("/sign-in?to=https://evil.example").text.count("evil.example") == 0
    assert stranger.post("/sign-in", {"email": "ada@example.com", "password": PASSWORD, "to": "//evil.example"}).headers["location"] == "/"


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": None}, {"Origin": None, "Sec-Fetch-Site": "cross-site"},
    {"Origin": None, "Sec-Fetch-Site": "same-site"},
], ids=str)
def test_another_site_changes_nothing(server, admin, things, headers):
    before = server.data("GET", "/call-flows")["call_flows"]
    for path, (form, _) in CHANGES.items():
        answer = admin.post(admin.home + path.format(**things), fill(form, things), headers=headers)
        assert answer.status_code == 403 and answer.headers["connection"] == "close", path
        assert "it was not made. Open the page again" in answer.text and '<a href="/">' in answer.text
    assert admin.post("/sign-out", headers=headers).status_code == 403
    assert server.data("GET", "/call-flows")["call_flows"] == before


def test_under_a_public_url_only_its_pages_change_something():
    with Callhook("--public-url=https://calls.example.com") as server:
        link = "/setup/" + setup_link(server).rsplit("/", 1)[1]
        form = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        visitor = Visitor(server.base)
        for origin in (server.base, "http://calls.example.com", "https://calls.example.com:8443"):
            answer = visitor.post(link, form, headers={"Origin": origin, "Host": "calls.example.com"})
            assert answer.status_code == 403 and "Open the page again at https://calls.example.com." in answer.text, origin
        assert visitor.post(link, form, headers={"Origin": "https://calls.example.com"}).status_code == 303


def test_an_admin_does_all_of_it(server, admin, things):
    for path, (form, _) in CHANGES.items():
        answer = admin.post(admin.home + path.format(**things), fill(form, things))
        # What has an answer to be shown once comes at once; all else leads back to a page. One that is pending or about to be sent stays.
        expected = {303, 409} if path in ("/deliveries/{delivery}/cancel", "/deliveries/{delivery}/redeliver-now") else {200, 303}
        assert answer.status_code in expected, f"{path}: {answer.status_code} {Texts(answer.text)}"
    settings = str(Texts(admin.get(f"{admin.home}/settings").text))
    assert "x@example.com" in settings and "revoked" in settings
    assert server.data("GET", "/business")["business"]["retention"]["payload_days"] == 30


def test_who_is_removed_sees_nothing_at_once_and_the_last_admin_stays(server, admin):
    person = invited(admin, "short@example.com", "admin")
    page = admin.get(f"{admin.home}/settings").text
    of = {email: id for id, email in re.findall(r"/settings/members/([0-9a-f-]{36})\"><label><span class=\"out\">role of ([a-z]+)", page.lower())}
    assert person.get(person.home).status_code == 200
    assert admin.post(f"{admin.home}/settings/members/{of['short']}/remove").status_code == 303
    assert person.get(person.home).status_code == 404
    left = person.get("/")
    assert left.status_code == 403 and 'href="/account"' in left.text and 'action="/sign-out"' in left.text and 'href="/"' not in left.text
    answer = admin.post(f"{admin.home}/settings/members/{of['ada']}/remove")
    assert answer.status_code == 422 and "admin" in answer.text
    answer = admin.post(f"{admin.home}/settings/members/{of['ada']}", {"role": "viewer"})
    assert answer.status_code == 422


def operator(server, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, "users", *command, "--data-dir", server.folder / "data"], capture_output=True, text=True,
                          env={"CALLHOOK_SECRET_KEY": SECRET_KEY} | server.environment)


def test_a_person_leaves_a_business_and_deletes_the_own_account(server, admin):
    person = invited(admin, "leaving@example.com", "viewer")
    account = person.get("/account").text
    leave = re.search(r"/account/businesses/[0-9a-f-]{36}/leave", account)[0]
    assert f'href="{person.home}/calls"' in account, "the way to all other pages"
    assert admin.post(leave).status_code == 422, "the last administrator stays"
    assert person.post(leave).headers["location"] == "/account?done=left"
    account = person.get("/account?done=left").text
    assert "You are in that business no more." in account and "/calls" not in account and 'action="/sign-out"' in account
    assert person.get(person.home).status_code == 404
    assert "leaving@example.com" not in admin.get(f"{admin.home}/settings").text
    elsewhere = Visitor(server.base)
    assert elsewhere.sign_in("leaving@example.com").status_code == 303
    assert person.post("/account/delete", {"current_password": "wrong one here"}).status_code == 422
    answer = person.post("/account/delete", {"current_password": PASSWORD})
    assert answer.headers["location"] == "/sign-in?done=account-deleted" and "Max-Age=0" in answer.headers["set-cookie"]
    assert "Your account is deleted" in person.get(answer.headers["location"]).text
    assert elsewhere.get("/account").status_code == 303, "it leads to the door"
    assert elsewhere.sign_in("leaving@example.com").status_code == 401
    answer = admin.post("/account/delete", {"current_password": PASSWORD})
    assert answer.status_code == 422 and "is the last administrator of default: make somebody else one first" in answer.text
    assert admin.get(admin.home).status_code == 200


def test_who_is_removed_or_lowered_does_not_come_back_by_an_own_invitation(server, admin):
    for name, path, fields in [("removed", "/remove", {}), ("lowered", "", {"role": "member"})]:
        person = invited(admin, f"{name}@example.com", "admin")
        page = person.post(f"{person.home}/settings/invitations", {"email": f"back-{name}@example.com", "role": "admin"})
        link = re.search(r'<pre id="link"[^>]*>([^<]+)</pre>', page.text)[1]
        settings = admin.get(f"{admin.home}/settings").text
        row = re.search(rf"<tr>(?:(?!</tr>).)*back-{name}@example.com(?:(?!</tr>).)*</tr>", settings, re.DOTALL)[0]
        assert "invited by " in row and "server" not in row, row
        member = re.search(rf"<td[^>]*>{name}@example.com</td>.*?/settings/members/([0-9a-f-]{{36}})", settings, re.DOTALL)[1]
        assert Visitor(server.base).get(link).status_code == 200
        assert admin.post(f"{admin.home}/settings/members/{member}{path}", fields).status_code == 303
        assert Visitor(server.base).get(link).status_code == 404, name


def test_keys_of_who_is_removed_are_named_and_revoked_where_that_is_asked(server, admin):
    opens = lambda key: requests.get(f"{server.base}/api/v1/calls", headers={"Authorization": f"Bearer {key}"}, timeout=30).status_code
    for name, fields, left in (("keeps", {}, 200), ("loses", {"revoke_keys": "on"}, 401)):
        person = invited(admin, f"{name}@example.com", "admin")
        page = person.post(f"{person.home}/settings/keys", {"name": "innocent", "role": "admin"}).text
        own = re.search(r'<pre id="key"[^>]*>([^<]+)</pre>', page)[1]
        made = requests.post(f"{server.base}/api/v1/api-keys", json={"name": "made by a key", "role": "viewer"},
                             headers={"Authorization": f"Bearer {own}"}, timeout=30).json()["data"]["api_key"]["key"]
        settings = admin.get(f"{admin.home}/settings").text
        row = lambda key: re.search(rf"<tr><td[^>]*>{key}</td>.*?</tr>", settings, re.DOTALL)[0]
        assert all(f'<small class="soft">by {name}</small>' in row(key) for key in ("innocent", "made by a key")), row("innocent")
        member = re.search(rf"{name}@example.com</td>.*?/settings/members/([0-9a-f-]{{36}})", settings, re.DOTALL)[1]
        assert 'API keys that this person made: <data value="2">2</data>' in settings
        assert admin.post(f"{admin.home}/settings/members/{member}/remove", fields).status_code == 303
        assert [opens(own), opens(made), server.call("GET", "/calls").status_code] == [left, left, 200]
        assert "by somebody who has left" in Texts(admin.get(f"{admin.home}/settings").text).__str__()


def test_what_is_to_be_kept_for_less_time_is_asked_about_before_it_goes():
    with Callhook() as server:
        admin = first(server)
        save = lambda **form: admin.post(f"{admin.home}/settings/retention", form)
        kept = lambda: server.data("GET", "/business")["business"]["retention"]
        asked = save(payload_days="30", call_days="90")
        assert asked.status_code == 422 and "removed for good" in asked.text and kept() == {"payload_days": None, "call_days": None}
        sure = re.search(r'name="sure" value="([^"]*)"', asked.text)[1]
        assert save(payload_days="30", call_days="9", sure=sure).status_code == 422, "it was asked about other days"
        assert save(payload_days="30", call_days="90", sure=sure).status_code == 303
        assert kept() == {"payload_days": 30, "call_days": 90}
        assert save(payload_days="60", call_days="").status_code == 303, "more is kept"
        assert save(payload_days="7", call_days="").status_code == 422 and kept()["payload_days"] == 60


def test_the_operator_deletes_a_user(server, admin):
    person = invited(admin, "dismissed@example.com", "admin")
    page = person.post(f"{person.home}/settings/invitations", {"email": "backdoor@example.com", "role": "admin"})
    link = re.search(r'<pre id="link"[^>]*>([^<]+)</pre>', page.text)[1]
    deleted = operator(server, "delete", "Dismissed@example.com")
    assert (deleted.returncode, deleted.stdout) == (0, "The user is deleted.\n"), deleted.stderr
    assert person.get(person.home).status_code == 303, "it leads to the door"
    assert person.sign_in("dismissed@example.com").status_code == 401
    assert Visitor(server.base).get(link).status_code == 404
    assert "dismissed" not in operator(server, "list").stdout
    again = operator(server, "delete", "dismissed@example.com")
    assert again.returncode != 0 and "nobody has the e-mail address dismissed@example.com" in again.stderr
    refused = operator(server, "delete", "ada@example.com")
    assert refused.returncode != 0 and "make somebody else one first, or delete the user all the same with --last-admin" in refused.stderr
    assert admin.get(admin.home).status_code == 200


def test_the_operator_deletes_the_last_admin_where_that_is_asked():
    with Callhook() as server:
        visitor = first(server)
        refused = operator(server, "setup")
        assert refused.returncode != 0 and "there is a user already" in refused.stderr
        deleted = operator(server, "delete", "ada@example.com", "--last-admin")
        assert deleted.returncode == 0 and "nobody can sign in any more: `callhook users setup` makes a link" in deleted.stdout
        assert visitor.get(visitor.home).status_code == 303
        assert operator(server, "list").stdout == ""
        assert "Nobody can sign in any more" in server.log_text()
        older, newer = (operator(server, "setup").stdout.strip() for _ in range(2))
        assert newer.startswith(f"{server.base}/setup/") and Visitor(server.base).get(older).status_code == 404
        assert Visitor(server.base).post(newer, {"name": "Bea", "email": "bea@example.com", "password": PASSWORD}).status_code == 303
        assert "bea@example.com" in operator(server, "list").stdout and Visitor(server.base).get(newer).status_code == 404


def test_a_lost_link_for_the_first_user_is_made_anew_also_without_a_server():
    with Callhook() as server:
        lost = setup_link(server)
        newer = operator(server, "setup").stdout.strip()
        assert Visitor(server.base).get(lost).status_code == 404 and Visitor(server.base).get(newer).status_code == 200
        assert not (server.folder / "data" / "setup-link").exists(), "its link leads nowhere"
        server.stop()
        made = operator(server, "setup", "--public-url", server.base)
        assert made.returncode == 0, made.stderr
        server.restart()
        assert Visitor(server.base).get(made.stdout.strip()).status_code == 404, "the start has made another"
        assert Visitor(server.base).get(setup_link(server)).status_code == 200


def test_guessing_is_slowed_and_tells_nothing():
    with Callhook() as server:
        first(server)
        stranger = Visitor(server.base)
        known = [stranger.sign_in("ada@example.com", f"wrong password {at}") for at in range(6)]
        assert [answer.status_code for answer in known] == [401] * 5 + [429]
        assert int(known[-1].headers["retry-after"]) >= 1
        assert stranger.sign_in("ada@example.com").status_code == 429, "also with the right one"
        unknown = stranger.sign_in("nobody@example.com", "wrong password 0")
        assert unknown.status_code == 401
        assert unknown.text.replace("nobody@", "ada@") == known[0].text


def test_sessions_are_listed_and_ended(server, admin):
    elsewhere = Visitor(server.base)
    elsewhere.session.headers["User-Agent"] = "<b>Elsewhere</b>"
    assert elsewhere.sign_in("ada@example.com").status_code == 303
    page = admin.get("/account").text
    assert "&#60;b&#62;Elsewhere&#60;/b&#62;" in page and "this one" in page
    assert admin.post("/account/sessions/end-others").status_code == 303
    assert elsewhere.get(admin.home).status_code == 303, "it leads to the door"
    assert admin.get(admin.home).status_code == 200
    cookie = elsewhere.sign_in("ada@example.com").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    answer = elsewhere.post("/account/password", {"current_password": "wrong one here", "password": "another long password"})
    assert answer.status_code == 422
    answer = elsewhere.post("/account/password", {"current_password": PASSWORD, "password": "another long password"})
    assert answer.status_code == 303
    assert admin.get(admin.home).status_code == 303, "all other sessions ended"
    elsewhere.post("/account/password", {"current_password": "another long password", "password": PASSWORD})
    admin.sign_in("ada@example.com")


def test_links_work_once(server, admin):
    assert not (server.folder / "data" / "setup-link").exists() or admin.get(setup_link(server)).status_code == 404
    page = admin.post(f"{admin.home}/settings/invitations", {"email": "once@example.com", "role": "viewer"})
    link = re.search(r'<pre id="link"[^>]*>([^<]+)</pre>', page.text)[1]
    assert Visitor(server.base).get(link).status_code == 200
    assert Visitor(server.base).post(link, {"name": "Once", "password": PASSWORD}).status_code == 303
    assert Visitor(server.base).get(link).status_code == 404
    reset = subprocess.run([BINARY, "users", "reset", "once@example.com", "--data-dir", server.folder / "data"], capture_output=True, text=True,
                           env={"CALLHOOK_SECRET_KEY": SECRET_KEY} | server.environment)
    reset = re.search(r"http\S+/reset/\S+", reset.stdout + reset.stderr)[0]
    assert Visitor(server.base).post(reset, {"password": "short"}).status_code == 422
    assert Visitor(server.base).post(reset, {"password": "a new long password"}).headers["location"] == "/sign-in?done=password-set"
    assert Visitor(server.base).get(reset).status_code == 404
    assert Visitor(server.base).sign_in("once@example.com", "a new long password").status_code == 303


def test_an_export_has_what_the_filter_says(server, admin, things):
    server.report(None, tracking_number="+15735550001", caller_number="=1+1", source_call_id="export-1")
    answer = admin.get(f"{admin.home}/calls/export?search=export-1")
    assert answer.status_code == 200 and answer.headers["content-disposition"] == 'attachment; filename="calls.csv"'
    rows = answer.text.strip().splitlines()
    assert len(rows) == 2 and "\"'=1+1\"" in rows[1]


def test_a_time_of_ones_own_zone_is_settled_before_it_counts(admin, things):
    for path in ("/calls/export?start_date", "/deliveries/redeliver?status=failed&since"):
        answer = admin.get(f"{admin.home}{path}=2026-11-29T20:47")
        assert answer.status_code == 303 and answer.headers["location"] == f"{admin.home}{path}=2026-11-29T20%3A47%3A00Z"


def test_a_filter_that_cannot_be_meant_shows_no_rows(admin, things):
    for path, words in (("/calls?start_date=garbage", "From"), ("/deliveries?since=garbage", "From")):
        answer = admin.get(admin.home + path)
        assert answer.status_code == 422 and words in re.search('role="alert">([^<]+)', answer.text)[1]
        assert "<tr id=" not in answer.text and "Nothing matches" not in answer.text and "<tr id=" in admin.get(admin.home + path.split("?")[0]).text


def test_a_fault_of_the_form_changes_nothing_and_says_what(server, admin, things):
    check = lambda path, form, words: words in str(Texts(admin.post(admin.home + path.format(**things), form).text))
    flow = server.data("POST", "/call-flows", {"name": "Form"}, 201)["call_flow"]["id"]
    path = f"/call-flows/{flow}"
    assert check(path, {"name": "", "url": ""}, "Name")
    assert check(path, {"name": "F", "url": "http://10.0.0.1/", "enabled": "on"}, "Webhook URL")
    assert check(path, {"name": "F", "retry_delays": "soon"}, "Waits between attempts")
    assert check(path, [("name", "F"), ("header_name", "Host"), ("header_value", "x")], "The header Host is a header that callhook sets itself")
    assert check(path, [("name", "F"), ("header_name", ""), ("header_value", "x")], "The list of custom headers has a value without a name")
    hidden = lambda url: [("name", "F"), ("url", url), ("header_name", "X-Token"), ("header_value", "hunter2" if url == HOOK["url"] else "••••")]
    assert admin.post(admin.home + path, hidden(HOOK["url"])).status_code == 303
    headers = lambda: server.data("GET", f"/call-flows/{flow}")["call_flow"]["post_call_webhook"]["headers"]
    assert headers() and admin.post(admin.home + path, [("name", "F"), ("url", HOOK["url"]), ("header_name", ""), ("header_value", "••••")]).status_code == 303
    assert headers() == {}, "an empty name takes a stored header away"
    assert admin.post(admin.home + path, hidden(HOOK["url"])).status_code == 303
    for url in ("http://127.0.0.1:10/x", "https://127.0.0.1:9/x", "http://127.0.0.2:9/x"):
        assert check(path, hidden(url), "The header X-Token is masked, and does not follow the URL to another scheme, host or port"), url
    assert server.data("GET", f"/call-flows/{flow}")["call_flow"]["post_call_webhook"]["url"] == HOOK["url"]
    admin.post(admin.home + path, {"name": "Form"})
    call = server.report(None, tracking_number="+15735550002")["id"]
    assert check(f"/calls/{call}", {"value": "1000000000.01", "value_before": ""}, "Value is an amount from -1000000000 to 1000000000.")
    assert check("/numbers", {"phone_number": "x"}, "Number")
    assert check("/settings/retention", {"call_days": "-1"}, "days")
    assert server.data("GET", f"/call-flows/{flow}")["call_flow"]["name"] == "Form"
    assert admin.post(admin.home + path, {"name": "x" * 300_000}).status_code == 413
