"""People at the dashboard: with a browser, or with nothing but requests where only the answers matter."""

import base64
import hashlib
import hmac
import os
import re
import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import requests
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from harness import ROOT, Callhook, wait_until

PASSWORD = "correct horse battery staple"
# Where `scripts/test` installs what tests/node/package.json names.
NODE = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "node"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--force-prefers-reduced-motion")
# The driver waits for a page that has begun to load; a form that was sent, and a link, begin a moment later.
LEAVING = """
arguments[0].scrollIntoView({block: 'center'});
const isNew = window.isLeaving === undefined;
window.isLeaving = false;
if (isNew) {
    const page = (address) => address.split('#')[0];
    addEventListener('submit', (event) => { window.isLeaving = !event.defaultPrevented });
    addEventListener('click', (event) => {
        const link = event.target.closest('a[href]:not([download], [target])');
        if (link && !event.defaultPrevented) window.isLeaving = page(link.href) !== page(location.href);
    });
}"""


def setup_link(callhook: Callhook) -> str:
    return (callhook.folder / "data" / "setup-link").read_text().strip()


def code(secret: str, at: float | None = None) -> str:
    """What an authenticator app shows (RFC 6238)."""
    step = struct.pack(">Q", int((at or time.time()) // 30))
    digest = hmac.new(base64.b32decode(secret + "=" * (-len(secret) % 8)), step, hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset:offset + 4])[0] & 0x7fffffff) % 1_000_000:06}"


def proof_of(answer: requests.Response) -> str | None:
    """What the page that asks for the code carries in the password's place."""
    found = re.search(r'name="proof" value="([^"]+)"', answer.text)
    return found and found[1]


class Visitor:
    """A browser that shows nothing: it keeps its cookies, says where it comes from, and follows no redirect unasked."""

    def __init__(self, base: str):
        self.base = base
        self.session = requests.Session()
        self.session.headers.update({"Origin": base, "User-Agent": "Visitor"})
        self.home = ""

    def get(self, path: str, **options) -> requests.Response:
        return self.session.get(urljoin(self.base, path), timeout=30, allow_redirects=False, **options)

    def post(self, path: str, fields: dict | list | None = None, **options) -> requests.Response:
        return self.session.post(urljoin(self.base, path), data=fields or {}, timeout=30, allow_redirects=False, **options)

    def sign_in(self, email: str, password: str = PASSWORD, **code: str) -> requests.Response:
        """With the second step, where a code is given for it and asked for."""
        answer = self.post("/sign-in", {"email": email, "password": password, "to": "/"})
        if code and (proof := proof_of(answer)):
            answer = self.post("/sign-in/code", {"proof": proof, "to": "/"} | code)
        if answer.status_code == 303:
            self.home = self.get("/").headers.get("location", "")
        return answer


def first(callhook: Callhook, email: str = "ada@example.com", name: str = "Ada") -> Visitor:
    """The first user: an admin of the business that the API key is of."""
    visitor = Visitor(callhook.base)
    answer = visitor.post(setup_link(callhook), {"name": name, "email": email, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    visitor.home = visitor.get("/").headers["location"]
    return visitor


def invited(admin: Visitor, email: str, role: str) -> Visitor:
    """Somebody whom an admin lets into the business."""
    page = admin.post(f"{admin.home}/settings/invitations", {"email": email, "role": role})
    link = re.search(r'<pre id="link"[^>]*>([^<]+)</pre>', page.text)[1]
    visitor = Visitor(admin.base)
    answer = visitor.post(link, {"name": email.split("@")[0], "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    visitor.home = answer.headers["location"]
    return visitor


class Browser:
    """A real one."""

    def __init__(self, base: str, width: int = 1280, height: int = 900, scripts: bool = True, dark: bool = False, zone: str = "UTC"):
        self.base = base
        self.folder = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        for flag in (*FLAGS, f"--user-data-dir={self.folder.name}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        if not scripts:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        self.command("Emulation.setTimezoneOverride", timezoneId=zone)
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        if dark:
            self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def command(self, name: str, **parameters):
        return self.driver.execute_cdp_cmd(name, parameters)

    def become(self, visitor: Visitor):
        """Takes over what a visitor is signed in by."""
        self.open("/healthz")
        for cookie in visitor.session.cookies:
            self.driver.add_cookie({"name": cookie.name, "value": cookie.value, "path": "/"})

    def open(self, path: str):
        self.driver.get(urljoin(self.base, path))

    @property
    def path(self) -> str:
        return self.driver.current_url.removeprefix(self.base)

    def find(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "main") -> str:
        return self.find(selector).text

    def fill(self, **fields: str):
        for name, value in fields.items():
            field = self.find(f"[name={name}]:not([type=hidden])")
            if field.tag_name == "select":
                Select(field).select_by_visible_text(value)
            else:
                field.clear()
                field.send_keys(value)

    def tick(self, name: str, on: bool = True):
        box = self.find(f"input[type=checkbox][name={name}]")
        if box.is_selected() != on:
            self.click(box)

    def press(self, words: str):
        """Clicks the button or link with these words, and waits for the page that follows."""
        found = [element for element in self.all("button, a, summary") if element.text.strip() == words and element.is_displayed()]
        assert found, f"{words!r} is not on the page: {[element.text for element in self.all('button')]}"
        self.click(found[0])

    def click(self, element):
        """As people do: they scroll it to where nothing lies upon it, and read no further before the page that follows is there."""
        self.driver.execute_script(LEAVING, element)
        element.click()
        self.wait_until(lambda: self.driver.execute_script("return document.readyState === 'complete' && !window.isLeaving"), "the page that follows")

    def wait_until(self, condition, what: str):
        def holds():
            # Between two pages there is neither, and the driver has several words for that.
            with suppress(WebDriverException):
                return condition()

        wait_until(holds, 15, what)

    def wait_for(self, words: str):
        self.wait_until(lambda: any(words in element.text for element in self.all("main")), f"{words!r} on the page")

    def complaints(self) -> list[str]:
        """What the browser has against the page: scripts that fail, what the policy forbids, what is not found."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def barriers(self) -> list[str]:
        """What axe-core finds that keeps somebody out."""
        self.driver.execute_script((NODE / "node_modules/axe-core/axe.min.js").read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
            ".then((found) => done(found.violations), (error) => done([{id: String(error), nodes: []}]));"
        )
        return [f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}" for one in found for node in one["nodes"] or [{"html": ""}]]

    def is_wider_than_its_window(self) -> bool:
        return self.driver.execute_script("return document.documentElement.scrollWidth > document.documentElement.clientWidth + 1")

    def close(self):
        self.driver.quit()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def flaws_of_html(pages: dict[str, str], folder: Path) -> str:
    """What a validator has against pages; nothing where they are valid."""
    config = folder / ".htmlvalidate.json"
    config.write_text('{"root": true, "extends": ["html-validate:standard"], "rules": {"void-style": "off", "doctype-style": "off", '
                      '"no-trailing-whitespace": "off", "attribute-boolean-style": "off", "long-title": "off", "require-sri": "off", '
                      '"no-implicit-button-type": "off", "prefer-native-element": "off", "no-inline-style": "error"}}')
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page)
    files = [str(folder / f"{name}.html") for name in pages]
    checked = subprocess.run(["node", str(NODE / "node_modules/html-validate/bin/html-validate.mjs"), "--config", str(config), "--formatter", "text", *files],
                             capture_output=True, text=True)
    return (checked.stdout + checked.stderr).replace(str(folder), "")


class Texts(HTMLParser):
    """The texts of a page, without its tags."""

    def __init__(self, page: str):
        super().__init__()
        self.texts: list[str] = []
        self.feed(page)

    def handle_data(self, data):
        self.texts.append(data)

    def __str__(self):
        return "".join(self.texts)
