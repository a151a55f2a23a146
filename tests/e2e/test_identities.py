"""Secrets and certificates are rotated while the market moves: no process is restarted for it (SE-1, IN-6)."""

import base64
import json
import secrets

import pytest

from tests.e2e.cluster import eventually
from tests.e2e.release import NAME, SERVICES, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
SEEN_SECS = 240.0
"""The kubelet writes a changed Secret into a running pod within about one and a half minutes."""
STATUS_OF = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": f"Bearer {sys.argv[2]}"})
try: print(urllib.request.urlopen(request, timeout=5).status)
except urllib.error.HTTPError as error: print(error.code)
"""
SERIAL = """
import ssl, sys
from pathlib import Path
from cryptography import x509
context = ssl.create_default_context(cafile=f"{sys.argv[3]}/ca.crt")
context.check_hostname = False
context.load_cert_chain(f"{sys.argv[3]}/operator.crt", f"{sys.argv[3]}/operator.key")
context.set_alpn_protocols(["h2"])
import socket
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as raw, context.wrap_socket(raw) as tls:
    print(x509.load_der_x509_certificate(tls.getpeercert(True)).serial_number)
"""
ROTATED = "execution"


def test_a_token_and_a_certificate_are_rotated_without_a_restart(release: Release) -> None:
    cluster = release.cluster
    started = {service: [pod["metadata"]["uid"] for pod in release.pods(service)] for service in SERVICES}
    restarts = {service: release.restarts(service) for service in SERVICES}
    old = release.secret(f"{NAME}-admin-token", "ADMIN_TOKEN")
    new, serial = secrets.token_urlsafe(24), _serial(release)
    assert _answers(release, old) == "200"

    with release.disturbed("rotate the dashboard's token and execution's certificate, no restart"):
        _patch(release, f"{NAME}-admin-token", {"ADMIN_TOKEN": base64.b64encode(new.encode()).decode()})
        # Without a certificate the next renewal issues one, as it does for one that is about to end.
        _patch(release, f"{NAME}-certificate-{ROTATED}", {"tls.crt": "", "tls.key": ""})
        (renewal,) = cluster.get("cronjobs", "--selector", f"app.kubernetes.io/instance={NAME}")
        # One of a first try is in the way of a second.
        cluster.kubectl("delete", "job", "e2e-renewal", "--ignore-not-found", "--wait")
        cluster.kubectl("create", "job", "e2e-renewal", "--from", f"cronjob/{renewal['metadata']['name']}")
        cluster.kubectl("wait", "--for=condition=Complete", "job/e2e-renewal", "--timeout=90s", limit_secs=100)
        eventually(lambda: _answers(release, new) == "200", "the new token is taken", SEEN_SECS)
        eventually(lambda: _serial(release) != serial, "the new certificate is shown", SEEN_SECS)

    assert _answers(release, old) == "401", "the old token is still taken"
    assert started == {service: [pod["metadata"]["uid"] for pod in release.pods(service)] for service in SERVICES}
    assert restarts == {service: release.restarts(service) for service in SERVICES}


def _patch(release: Release, name: str, data: dict[str, str]) -> None:
    release.cluster.kubectl("patch", "secret", name, "--type", "merge", "--patch", json.dumps({"data": data}))


def _answers(release: Release, token: str) -> str:
    address = f"http://{NAME}-admin:8080/api/v1/status"
    return release.operate("python", "-c", STATUS_OF, address, token).strip()


def _serial(release: Release) -> str:
    where = ("holdfast-execution", "8443", "/etc/holdfast/certificates")
    return release.operate("python", "-c", SERIAL, *where).strip()
