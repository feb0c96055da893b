"""The second factor from outside: the second step of signing in, and what asks for its code once more."""

import itertools
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import wait_until
from visitor import PASSWORD, Visitor, code, flaws_of_html, invited, proof_of


addresses = (f"198.51.100.{number}" for number in itertools.count(1))


def stranger(server) -> Visitor:
    """Somebody with an own address: who guesses there makes nobody else wait."""
    visitor = Visitor(server.base)
    visitor.session.headers["X-Forwarded-For"] = next(addresses)
    return visitor


def somebody(server, admin, name: str) -> Visitor:
    """The same with an account."""
    visitor = stranger(server)
    visitor.session.cookies.update(invited(admin, f"{name}@example.com", "viewer").session.cookies)
    return visitor


def secured(visitor) -> tuple[str, list[str]]:
    """Sets a second factor up; answers its secret and the recovery codes."""
    secret = re.search(r'name="secret" value="([A-Z2-7]+)"', visitor.post("/account/second-factor").text)[1]
    page = visitor.post("/account/second-factor/confirm", {"secret": secret, "code": code(secret), "current_password": PASSWORD})
    return secret, recovery_codes(page.text)


def recovery_codes(page: str) -> list[str]:
    return re.search(r'<pre id="recovery-codes"[^>]*>([^<]+)</pre>', page)[1].split()


def next_code(secret: str) -> str:
    """One that was not used: the app's clock may be half a minute ahead."""
    return code(secret, time.time() + 30)


def test_after_the_password_the_code_alone_is_asked_for(server, admin, tmp_path):
    secret, _ = secured(somebody(server, admin, "two-steps"))
    visitor = stranger(server)
    kept = "name=typed"
    asked = visitor.post("/sign-in", {"email": "two-steps@example.com", "password": PASSWORD, "to": "/account/name", "kept": kept})
    assert asked.status_code == 401 and 'name="password"' not in asked.text and PASSWORD not in asked.text and "two-steps@example.com" in asked.text
    assert not flaws_of_html({"code": asked.text}, tmp_path)
    form = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', asked.text))
    assert (form["to"], form["kept"]) == ("/account/name", kept)
    wrong = visitor.post("/sign-in/code", form | {"code": "000000"})
    assert wrong.status_code == 401 and "The code is wrong." in wrong.text and proof_of(wrong) == form["proof"]
    assert visitor.get("/account").status_code == 303, "it leads to the door"
    entered = visitor.post("/sign-in/code", form | {"code": next_code(secret)})
    assert entered.status_code == 200 and "You are signed in again" in entered.text and 'name="name" value="typed"' in entered.text
    assert visitor.get("/account").status_code == 200
    used = visitor.post("/sign-in/code", form | {"code": next_code(secret)})
    assert used.status_code == 401 and "was used already" in used.text
    assert stranger(server).get("/sign-in/code").headers["location"] == "/sign-in", "whoever reloads the second step begins anew"


def test_the_proof_of_a_password_lets_in_nobody_else(server, admin):
    mine, other = (somebody(server, admin, name) for name in ("mine", "other"))
    (_, my_codes), (_, other_codes) = secured(mine), secured(other)
    visitor = stranger(server)
    proof = proof_of(visitor.post("/sign-in", {"email": "mine@example.com", "password": PASSWORD}))
    give = lambda proof, code, **fields: visitor.post("/sign-in/code", {"proof": proof, "recovery_code": code} | fields)
    assert give(proof, other_codes[0], email="other@example.com").status_code == 401
    for made_up in ("", "x", proof[:-1] + ("A" if proof[-1] != "A" else "B"), proof[:40]):
        answer = give(made_up, my_codes[0], email="mine@example.com")
        assert answer.status_code == 401 and "The password was given too long ago, or elsewhere: sign in again." in answer.text, made_up
        assert 'name="email" value="mine@example.com"' in answer.text and 'name="password"' in answer.text
        nobody = give(made_up, my_codes[0], email="nobody@example.com")
        assert nobody.text.replace("nobody@", "mine@") == answer.text, "it tells nothing of who has an account"
    # Behind a proxy on this machine, somebody else who has got hold of it.
    elsewhere = visitor.post("/sign-in/code", {"proof": proof, "recovery_code": my_codes[0]}, headers={"X-Forwarded-For": "203.0.113.7"})
    assert elsewhere.status_code == 401 and "too long ago, or elsewhere" in elsewhere.text
    changed = mine.post("/account/password", {"current_password": PASSWORD, "password": "another long password"})
    assert changed.headers["location"] == "/account?done=password"
    late = give(proof, my_codes[0])
    assert late.status_code == 401 and "too long ago, or elsewhere" in late.text
    assert visitor.sign_in("mine@example.com", "another long password", recovery_code=my_codes[0]).status_code == 303


def test_guesses_at_the_code_are_slowed_with_one_proof_as_with_many(server, admin):
    secret, _ = secured(somebody(server, admin, "guessed"))
    visitor = stranger(server)
    ask = lambda: visitor.post("/sign-in", {"email": "guessed@example.com", "password": PASSWORD})
    proof = proof_of(ask())
    guesses = [visitor.post("/sign-in/code", {"proof": proof_of(ask()) if at % 2 else proof, "code": f"00000{at}"}) for at in range(5)]
    assert [answer.status_code for answer in guesses] == [401] * 5
    right = visitor.post("/sign-in/code", {"proof": proof, "code": next_code(secret)})
    assert right.status_code == 429 and int(right.headers["retry-after"]) >= 1, "also the right one"
    assert ask().status_code == 429


def test_recovery_codes_work_once_and_guesses_at_them_are_slowed(server, admin):
    person = somebody(server, admin, "recovering")
    assert person.post("/account/recovery-codes", {"current_password": PASSWORD}).status_code == 422, "there is no second factor yet"
    _, codes = secured(person)
    assert len(set(codes)) == 10
    page = person.get("/account").text
    assert "10 recovery codes are left" in page and not any(one in page for one in codes)
    elsewhere = stranger(server)
    sign_in = lambda code: elsewhere.sign_in("recovering@example.com", recovery_code=code)
    assert elsewhere.sign_in("recovering@example.com").status_code == 401
    assert sign_in(codes[0].replace("-", " ").upper()).status_code == 303
    assert "9 recovery codes are left" in elsewhere.get("/account").text
    newer = recovery_codes(person.post("/account/recovery-codes", {"current_password": PASSWORD, "code": codes[9]}).text)
    assert not set(codes) & set(newer)
    guesses = [sign_in(code) for code in (codes[0], codes[1], "0000-0000-0000-0000", "none", codes[2], newer[0])]
    assert [answer.status_code for answer in guesses] == [401] * 5 + [429]
    assert "was used already" in guesses[0].text
    files = [file.read_bytes() for file in (server.folder / "data").rglob("*") if file.is_file()]
    for one in newer:
        assert not any(one.encode() in file or one.replace("-", "").encode() in file for file in files), "kept as a hash"
    remove = lambda: person.post("/account/second-factor/remove", {"current_password": PASSWORD, "code": newer[0]}).status_code
    assert remove() == 422, "who is signed in is slowed as well"
    wait_until(lambda: remove() == 303, what="the end of the wait")
    assert "recovery codes" not in person.get("/account").text


@pytest.mark.parametrize("path", ["/account/recovery-codes", "/account/second-factor/remove", "/account/delete"])
def test_a_code_is_asked_for_before_the_second_factor_or_the_account_goes(server, admin, path, tmp_path):
    person = somebody(server, admin, path.rsplit("/", 1)[1])
    assert 'name="code"' not in person.get("/account").text
    _, codes = secured(person)
    page = person.get("/account").text
    assert not flaws_of_html({"account": page}, tmp_path)
    form = re.search(rf'<form[^>]* action="{path}">.*?</form>', page, re.DOTALL)[0]
    assert re.search(r'name="code"[^>]* required', form)
    refused = lambda **form: (answer := person.post(path, form)).status_code == 422 and re.search('role="alert">([^<]+)', answer.text)[1]
    assert "is needed" in refused(current_password=PASSWORD)
    assert refused(current_password=PASSWORD, code="000000") == "The current password or the code is wrong."
    assert refused(current_password="wrong one here", code=codes[0]) == "The current password or the code is wrong."
    page = person.get("/account").text
    assert "10 recovery codes are left" in page, "nothing was done, and a code beside a wrong password is not used up"
    done = person.post(path, {"current_password": PASSWORD, "code": codes[0]})
    if path == "/account/recovery-codes":
        assert not set(codes) & set(recovery_codes(done.text))
        for _ in range(5):
            assert "was used already" in refused(current_password=PASSWORD, code=codes[1])
        assert "too many failed tries" in refused(current_password=PASSWORD, code=codes[1]), "each was a guess"
    else:
        assert done.headers["location"] == {"remove": "/account?done=removed", "delete": "/sign-in?done=account-deleted"}[path.rsplit("/", 1)[1]]


def test_of_two_that_are_set_up_at_once_one_is_set_and_its_codes_count(server, admin):
    visitor = somebody(server, admin, "twice")
    secret = re.search(r'name="secret" value="([A-Z2-7]+)"', visitor.post("/account/second-factor").text)[1]
    form = {"secret": secret, "code": code(secret), "current_password": PASSWORD}
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: visitor.post("/account/second-factor/confirm", form), range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 422]
    shown, refused = sorted(answers, key=lambda answer: answer.status_code)
    assert "A second factor is set already" in refused.text and "recovery-codes" not in refused.text
    assert stranger(server).sign_in("twice@example.com", recovery_code=recovery_codes(shown.text)[0]).status_code == 303
