"""One request to papermarket from within its pod, with the account's own keys: METHOD PATH JSON. For the Tiltfile."""

import os
import sys
import urllib.request
from pathlib import Path

method, path, body = sys.argv[1:]
keys = {
    header: Path(os.environ["HOLDFAST_SECRETS_DIR"], name).read_text().strip()
    for header, name in (("APCA-API-KEY-ID", "ALPACA_API_KEY"), ("APCA-API-SECRET-KEY", "ALPACA_SECRET_KEY"))
}
asked = urllib.request.Request(
    f"http://127.0.0.1:8081{path}", body.encode() or None, {**keys, "Content-Type": "application/json"}, method=method
)
with urllib.request.urlopen(asked, timeout=10) as answer:
    sys.stdout.write(answer.read().decode())
