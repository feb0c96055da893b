"""One trace from a call's report to its webhook's outcome, as a collector receives it; parsed by the official protocol package."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from faults.authority import Authority
from harness import Callhook, Receiver, wait_until
from test_twilio import AUTH_TOKEN, PUBLIC, legs, send

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


class Collector:
    """Takes OTLP over HTTP and keeps the spans."""

    def __init__(self, context: ssl.SSLContext | None = None):
        self.spans: list[Span] = []
        self.service = None
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
                collector.bodies.append(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.service = {item.key: item.value.string_value for item in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.base = f"{'https' if context else 'http'}://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of_trace(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id.hex() == trace]

    def ended(self, delivery_id: str) -> list[Span]:
        """All spans of the call's trace, once the delivery's own has come, which is the last one."""

        def whole():
            mine = [span for span in self.spans if span.name == "deliver" and attributes(span)["callhook.delivery_id"] == delivery_id]
            return mine and self.of_trace(mine[0].trace_id.hex())

        return wait_until(whole, 15, f"the trace of {delivery_id}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def attributes(span: Span) -> dict:
    kinds = {item.key: item.value for item in span.attributes}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in kinds.items()}


def tree(spans: list[Span]) -> dict[str, list[str]]:
    """Names of the spans below each span, the phases of attempts left out."""
    names = {span.span_id: span.name for span in spans}
    found: dict[str, list[str]] = {}
    for span in sorted(spans, key=lambda span: (span.start_time_unix_nano, span.end_time_unix_nano)):
        parent = names.get(span.parent_span_id, "nothing" if not span.parent_span_id else "another trace")
        found.setdefault(parent, []).append(span.name)
    found.pop("attempt", None)
    return {parent: sorted(children) for parent, children in found.items()}


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


def test_one_trace_leads_from_report_to_outcome(collector, receiver):
    with Callhook(f"--otlp-endpoint={collector.base}") as callhook:
        call = callhook.report(callhook.flow(receiver.base))
        [delivery] = callhook.settled(1)
        spans = collector.ended(delivery["id"])
    assert tree(spans) == {"nothing": ["report"], "report": ["commit", "deliver"], "deliver": ["attempt", "due", "record"]}
    by_name = {span.name: span for span in spans}
    assert by_name["report"].trace_id.hex() == call["id"].replace("-", "")
    assert attributes(by_name["attempt"]) == {
        "callhook.delivery_id": delivery["id"],
        "callhook.attempt": 1,
        "callhook.connection_reused": False,
        "http.response.status_code": 200,
    }
    phases = [span for span in spans if span.parent_span_id == by_name["attempt"].span_id]
    assert {"connect", "wait"} <= {span.name for span in phases}
    for span in spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano, span
        assert by_name["report"].start_time_unix_nano <= span.start_time_unix_nano + 2_000_000, span
    assert collector.service["service.name"] == "callhook"


def test_attempts_join_their_trace_after_a_restart(collector):
    answers = [503, 200]
    with Receiver(lambda _: (answers.pop(0), {}, b"")) as receiver, Callhook(
        f"--otlp-endpoint={collector.base}", "--retry-delays=2s"
    ) as callhook:
        call = callhook.report(callhook.flow(receiver.base))
        receiver.next()
        wait_until(lambda: callhook.deliveries()[0]["attempt_count"] == 1, what="the first attempt's record")
        assert callhook.stop() == 0
        callhook.restart()
        [delivery] = callhook.settled(1)
        spans = collector.ended(delivery["id"])
    assert {span.trace_id.hex() for span in spans} == {call["id"].replace("-", "")}
    attempts = sorted((span for span in spans if span.name == "attempt"), key=lambda span: span.start_time_unix_nano)
    assert [attributes(span)["callhook.attempt"] for span in attempts] == [1, 2]
    assert [span.status.code for span in attempts] == [Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET]
    assert attributes(attempts[0])["error.type"] == "http_503"
    # Two processes, and one tree.
    assert {span.parent_span_id for span in attempts} == {span.span_id for span in spans if span.name == "deliver"}
    assert tree(spans)["nothing"] == ["report"]


def test_a_call_of_a_phone_system_has_its_trace_as_well(collector, receiver):
    with Callhook(f"--otlp-endpoint={collector.base}", f"--public-url={PUBLIC}") as callhook:
        flow = callhook.flow(receiver.base)
        callhook.data("POST", "/numbers", {"phone_number": "+15735551234", "call_flow_id": flow["id"]}, 201)
        body = {"kind": "twilio", "name": "Main", "auth_token": AUTH_TOKEN, "dial": True}
        callhook.source = callhook.data("POST", "/sources", body, 201)["source"]
        for kind, params in legs("CA1", "completed"):
            assert send(callhook, kind, params).ok
        [delivery] = callhook.settled(1)
        spans = collector.ended(delivery["id"])
    assert tree(spans) == {"nothing": ["report"], "report": ["commit", "deliver"], "deliver": ["attempt", "due", "record"]}


def test_the_reporters_trace_and_the_calls_lead_to_each_other(collector, receiver):
    with Callhook(f"--otlp-endpoint={collector.base}") as callhook:
        flow = callhook.flow(receiver.base)
        body = {"status": "completed", "caller_number": "+13055559876", "call_flow_id": flow["id"]}
        for traceparent in (f"00-{TRACE}-{SPAN}-01", "nonsense", f"00-{TRACE}-{SPAN}-00"):
            callhook.data("POST", "/calls", body, 201, headers={"traceparent": traceparent})
        callhook.settled(3)
        wait_until(lambda: len([span for span in collector.spans if span.name == "deliver"]) == 3)
    [request] = collector.of_trace(TRACE)
    assert (request.parent_span_id.hex(), request.kind) == (SPAN, Span.SPAN_KIND_SERVER)
    reports = {span.trace_id: span for span in collector.spans if span.name == "report"}
    report = reports[request.links[0].trace_id]
    assert (report.span_id, report.links[0].trace_id.hex(), report.links[0].span_id.hex()) == (request.links[0].span_id, TRACE, SPAN)
    assert sorted(len(span.links) for span in reports.values()) == [0, 1, 1]


def test_a_share_of_the_traces_is_taken_whole_or_not_at_all(collector, receiver):
    with Callhook(f"--otlp-endpoint={collector.base}/v1/traces", "--otlp-sample-ratio=0.5") as callhook:
        flow = callhook.flow(receiver.base)
        for _ in range(60):
            callhook.report(flow)
        callhook.settled(60)
        assert callhook.stop() == 0
    names: dict[bytes, set[str]] = {}
    for span in collector.spans:
        names.setdefault(span.trace_id, set()).add(span.name)
    assert 5 < len(names) < 55
    for found in names.values():
        assert {"report", "commit", "deliver", "due", "attempt", "record"} <= found


def test_a_collector_is_reached_over_tls_if_its_certificate_is_trusted(receiver, monkeypatch):
    authority = Authority()
    monkeypatch.setenv("SSL_CERT_FILE", authority.roots())
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    for signer, arrives in ((authority, True), (Authority("Stranger"), False)):
        with Collector(signer.issue().context()) as collector, Callhook(f"--otlp-endpoint={collector.base}") as callhook:
            callhook.report(callhook.flow(receiver.base))
            [delivery] = callhook.settled(1)
            if arrives:
                collector.ended(delivery["id"])
            else:
                wait_until(lambda: "does not take traces" in callhook.log_text())
                assert not collector.spans


def test_nothing_secret_is_in_a_span(collector, receiver):
    with Callhook(f"--otlp-endpoint={collector.base}") as callhook:
        flow = callhook.flow(f"{receiver.base}/canary-path?canary-query", headers={"X-Canary": "canary-header"})
        callhook.report(flow, caller_number="+13055551234")
        callhook.settled(1)
        assert callhook.stop() == 0
    sent = b"".join(collector.bodies)
    assert b"deliver" in sent
    for secret in (b"canary", b"127.0.0.1", b"3055551234", b"Google Ads", flow["id"].encode()):
        assert secret not in sent, secret


def test_without_a_collector_work_goes_on_and_the_log_says_so_once(receiver):
    with Callhook("--otlp-endpoint=http://127.0.0.1:1") as callhook:
        flow = callhook.flow(receiver.base)
        callhook.report(flow)
        callhook.settled(1)
        wait_until(lambda: "The trace collector does not take traces" in callhook.log_text())
        callhook.report(flow)
        callhook.settled(2)
        assert callhook.stop() == 0
        assert callhook.log_text().count("The trace collector does not take traces") == 1
