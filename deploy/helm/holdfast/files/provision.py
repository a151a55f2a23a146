"""Fills this release's empty Secrets: certificates of one authority, tokens and keys. What is there is kept."""

import base64
import json
import os
import secrets
import ssl
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from holdfast_runtime.identity import Authority

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TLS = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))


def call(name, method="GET", data=None):
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    url = f"https://{host}:{port}/api/v1/namespaces/{os.environ['HOLDFAST_NAMESPACE']}/secrets/{name}"
    encoded = {key: base64.b64encode(value).decode() for key, value in (data or {}).items()}
    body = json.dumps({"data": encoded}).encode() if data else None
    headers = {
        "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
        "Content-Type": "application/merge-patch+json",
    }
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, context=TLS, timeout=10) as answer:
        return json.load(answer)


def main(plan):
    missing = {name for name in plan["certificates"] if not call(f"{plan['prefix']}-certificate-{name}").get("data")}
    if missing:
        authority = Authority(now=datetime.now(UTC))
        for name, names in plan["certificates"].items():
            made = authority.issue(name, names=names)
            pair = {"ca.crt": made.authority, "tls.crt": made.certificate, "tls.key": made.key}
            call(f"{plan['prefix']}-certificate-{name}", "PATCH", pair)
    for name, keys in plan["random"].items():
        if not call(name).get("data"):
            call(name, "PATCH", {key: secrets.token_urlsafe(24).encode() for key in keys})


main(json.loads(sys.argv[1]))
