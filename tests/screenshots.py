"""Pictures of the dashboard's pages, with a business that has a bit of everything. Run by scripts/screenshots."""

import random
import sys
import time
from pathlib import Path

from harness import ROOT, Callhook, Receiver, wait_until
from visitor import Browser, first

SHOWN = ROOT / "docs" / "screenshots"
# What the README shows.
IN_README = {"overview-light", "call-flow-light", "delivery-dark"}
LOOKS = {"light": {}, "dark": {"dark": True}, "phone": {"width": 390, "height": 844}}
CALLERS = ["+13055559876", "+13055550112", "+442079460123", "+16175550178", "anonymous", "+12125550143"]


def fill(server: Callhook, receiver: Receiver) -> dict:
    """Three flows, one of which fails, and a morning of calls."""
    chance = random.Random(7)
    hook = {"enabled": True, "headers": {"X-Token": "canary"}}
    names = {"Google Ads": "ok", "Facebook Ads": "broken", "Website": "ok"}
    flows = [
        server.data("POST", "/call-flows", {"name": name, "source": name.split()[0].lower(),
                                            "post_call_webhook": hook | {"url": f"{receiver.base}/{path}"}}, 201)["call_flow"]
        for name, path in names.items()
    ]
    for number, flow in zip(("+15735551234", "+15735555678"), flows):
        server.data("POST", "/numbers", {"phone_number": number, "friendly_name": f"{flow['name']} line", "call_flow_id": flow["id"]}, 201)
    server.data("POST", "/sources", {"kind": "twilio", "name": "Twilio", "auth_token": "token"}, 201)
    for at in range(90):
        flow = chance.choices(flows, [6, 1, 3])[0]
        status = chance.choices(["completed", "no-answer", "voicemail", "busy"], [7, 2, 2, 1])[0]
        call = server.report(flow, caller_number=chance.choice(CALLERS), status=status, duration_seconds=chance.randint(8, 420),
                             attribution={"source": chance.choice(["google", "google", "facebook", "bing"]), "utm_campaign": "hvac-tampa",
                                          "landing_page_url": "https://yoursite.example/hvac"}, value_cents=chance.choice([None, 5000]))
        if at % 3 == 0 and status == "completed":
            server.data("PUT", f"/calls/{call['id']}/analysis", {
                "transcription": "Hi, I need a quote for a new AC unit.", "summary": "Homeowner asks for a quote for a new installation.",
                "ai_score": 85, "ai_category": "lead", "qualified_ai": True, "qualification_reason": "Asks for a price"})
            shown = call
    wait_until(lambda: server.deliveries(status="failed"), 30, "the failures")
    return {"flow": flows[0]["id"], "call": shown["id"], "delivery": server.deliveries(status="failed")[0]["id"]}


def main():
    everything = Path(sys.argv[2]) if sys.argv[1:2] == ["--all"] else None
    with Receiver(lambda received: (503 if "broken" in received.path else 200, {}, b"")) as receiver, \
            Callhook("--retry-delays=1s,2s") as server:
        visitor = first(server, name="Ada Lovelace")
        ids = fill(server, receiver)
        home = visitor.home
        pages = {
            "overview": home, "call-flows": f"{home}/call-flows", "call-flow": f"{home}/call-flows/{ids['flow']}", "calls": f"{home}/calls",
            "call": f"{home}/calls/{ids['call']}", "deliveries": f"{home}/deliveries", "delivery": f"{home}/deliveries/{ids['delivery']}",
            "numbers": f"{home}/numbers", "sources": f"{home}/sources", "settings": f"{home}/settings", "account": "/account", "sign-in": "/sign-in",
        }
        for look, how in LOOKS.items():
            with Browser(server.base, **how) as browser:
                browser.become(visitor)
                for name, path in pages.items():
                    picture = f"{name}-{look}"
                    folder = SHOWN if picture in IN_README else everything
                    if folder is None:
                        continue
                    folder.mkdir(parents=True, exist_ok=True)
                    browser.open(path)
                    time.sleep(0.3)
                    browser.driver.save_screenshot(str(folder / f"{picture}.png"))
                    print(folder / f"{picture}.png")


if __name__ == "__main__":
    main()
