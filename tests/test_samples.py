"""The samples that verify a signature, in every language whose interpreter is there, against a real webhook."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parent.parent / "samples" / "verify-signature"
PYTHON = "import json,sys; sys.path.insert(0, sys.argv[1]); from verify import verify; d = json.load(sys.stdin); " \
    "print(json.dumps([verify(s, d['headers'], b.encode(), n) for s, b, n in d['cases']]))"
NODE = "import { readFileSync } from 'node:fs'; const { verify } = await import(process.argv[1] + '/verify.mjs'); " \
    "const d = JSON.parse(readFileSync(0)); " \
    "console.log(JSON.stringify(d.cases.map(([s, b, n]) => verify(s, d.headers, Buffer.from(b), n ?? undefined))))"
PHP = "require $argv[1] . '/verify.php'; $d = json_decode(stream_get_contents(STDIN), true); " \
    "echo json_encode(array_map(fn($c) => verify($c[0], $d['headers'], $c[1], $c[2]), $d['cases']));"


@pytest.mark.parametrize("interpreter, arguments", [
    (sys.executable, ["-c", PYTHON]), ("node", ["--input-type=module", "-e", NODE]), ("php", ["-r", PHP]),
], ids=["python", "node", "php"])
def test_a_sample_accepts_what_callhook_signed_and_nothing_else(shared, receiver, interpreter, arguments):
    if not shutil.which(interpreter):
        pytest.skip(f"{interpreter} is not installed")
    flow = shared.flow(receiver.base)
    secret = shared.data("POST", f"/call-flows/{flow['id']}/webhook-secret/rotate")["signing_secret"]
    shared.report(flow, transcription="“Grüße” 🦀")
    received = receiver.next()
    body, sent_at = received.body.decode(), int(received.headers["webhook-timestamp"])
    cases = [
        (secret, body, None), (secret, body, sent_at + 299), (secret, body, sent_at + 301), (secret, body, sent_at - 301),
        (secret, body + " ", None), ("whsec_" + "A" * 32, body, None),
    ]
    separator = ["--"] if interpreter == "php" else []
    result = subprocess.run(
        [interpreter, *arguments, *separator, str(SAMPLES)], input=json.dumps({"headers": received.headers, "cases": cases}),
        capture_output=True, text=True, timeout=30,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [True, True, False, False, False, False]
