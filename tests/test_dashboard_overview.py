"""The overview and the dot where very much is wrong."""

import re

from harness import Callhook, free_port, wait_until
from visitor import first


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
        assert page.count("what failed") == 12 and "And 38 or more besides" in page
        assert f'href="{admin.home}/deliveries?status=failed">Look at all that failed' in page
