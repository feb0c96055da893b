"""Coming in by a real browser: the first user's link, and the second factor with its recovery codes."""

import time

from harness import Callhook, wait_until
from visitor import PASSWORD, Browser, Visitor, code, invited, setup_link


def test_the_first_user_comes_by_the_link_of_the_terminal():
    with Callhook() as server, Browser(server.base) as browser:
        browser.open("/")
        assert browser.path.startswith("/sign-in") and "Nobody has an account yet" in browser.text()
        link = setup_link(server)
        browser.open(link)
        browser.fill(name="Ada Lovelace", email="Ada@Example.com", password="short")
        browser.driver.execute_script("document.querySelector('form').noValidate = true")
        browser.press("Make the account")
        assert "password" in browser.text(".note").lower() and browser.find("[name=name]").get_attribute("value") == "Ada Lovelace"
        browser.fill(password=PASSWORD)
        browser.press("Make the account")
        wait_until(lambda: "/b/" in browser.path, what="the overview")
        assert "No call flow yet" in browser.text()
        browser.open(link)
        assert "no such" in browser.text(), "a link works once"
        browser.open("/")
        browser.press("Sign out")
        assert "Nobody has" not in browser.text()
        browser.fill(email="ada@example.com", password=PASSWORD)
        browser.press("Sign in")
        wait_until(lambda: "/b/" in browser.path, what="the overview")


def test_a_second_factor_is_asked_for_and_taken_once_and_a_recovery_code_stands_in_for_it(server, admin):
    visitor = invited(admin, "careful@example.com", "viewer")
    with Browser(server.base) as browser:
        browser.become(visitor)
        browser.open("/account")
        browser.press("Set up a second factor")
        browser.wait_for("Scan this")
        secret = browser.find("[name=secret]").get_attribute("value")
        browser.find("form[action$=confirm] [name=current_password]").send_keys(PASSWORD)
        browser.fill(code="000000")
        browser.press("Set it up")
        browser.wait_for("is not the code")
        assert browser.find("[name=secret]").get_attribute("value") == secret
        shown = code(secret)
        browser.find("form[action$=confirm] [name=current_password]").send_keys(PASSWORD)
        browser.fill(code=shown)
        browser.press("Set it up")
        browser.wait_for("From now on, signing in also asks for a code")
        recovery_codes = browser.text("#recovery-codes").split("\n")
        assert len(set(recovery_codes)) == 10 and "10 recovery codes are left" in browser.text()
        assert not browser.barriers()
        browser.open("/account")
        browser.press("Sign out")
        browser.wait_for("Password forgotten?")
        browser.fill(email="careful@example.com", password=PASSWORD)
        browser.press("Sign in")
        browser.wait_for("The password is right. Now the code of your authenticator app.")
        assert browser.driver.switch_to.active_element.get_attribute("name") == "code"
        assert not browser.all("[name=password]") and "careful@example.com" in browser.text() and not browser.barriers()
        browser.fill(code=shown)
        browser.press("Sign in")
        browser.wait_for("was used already")
        browser.fill(code=code(secret, time.time() + 30))
        browser.press("Sign in")
        wait_until(lambda: "/b/" in browser.path, what="the overview")
        browser.open("/account")
        assert "10 recovery codes are left" in browser.text() and not browser.all("#recovery-codes"), "shown once"
        browser.press("Sign out")
        for said in ("/b/", "not one of yours, or was used already"):
            browser.wait_for("Password forgotten?")
            browser.fill(email="careful@example.com", password=PASSWORD)
            browser.press("Sign in")
            browser.wait_for("Code of your authenticator app")
            browser.press("The app is not at hand")
            browser.fill(recovery_code=recovery_codes[0])
            browser.press("Sign in")
            browser.wait_until(lambda said=said: said in browser.path or said in browser.text(), said)
            if said == "/b/":
                browser.open("/account")
                browser.wait_for("9 recovery codes are left")
                other = Visitor(server.base).sign_in("careful@example.com", code=recovery_codes[1])
                assert other.status_code == 303, "a recovery code is taken from the code's field as well"
                browser.press("Sign out")
