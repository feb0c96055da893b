"""The served OpenAPI document against the server, by schema-driven fuzzing."""

import subprocess
import sys
from pathlib import Path

from harness import KEY, Callhook


def test_no_5xx_and_no_violation_of_the_schema():
    with Callhook("--retry-delays=1s", "--response-timeout=500ms") as callhook:
        callhook.report(callhook.flow())
        command = [
            str(Path(sys.executable).parent / "schemathesis"), "run", f"{callhook.base}/api/v1/openapi.json",
            "--header", f"Authorization: Bearer {KEY}", "--checks", "not_a_server_error,status_code_conformance,"
            "content_type_conformance,response_schema_conformance,response_headers_conformance",
            "--max-examples", "25", "--seed", "1", "--exclude-path", "/api/v1/webhook-deliveries/events", "--no-color",
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=callhook.folder)
        assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
