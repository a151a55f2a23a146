"""Waits until admin says of every service that it is ready; ends with 1 where that takes longer than two minutes."""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

from holdfast_runtime.config import load_settings

settings = load_settings(Path(os.environ["HOLDFAST_CONFIG"]), {}, None)
token = Path(os.environ["HOLDFAST_SECRETS_DIR"], "ADMIN_TOKEN").read_text().strip()
host = settings.endpoints["admin"].rpartition(":")[0]
asked = urllib.request.Request(
    f"http://{host}:{settings.admin.port}/api/v1/health", headers={"Authorization": f"Bearer {token}"}
)
deadline = time.monotonic() + 120
while True:
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            services = json.load(answer)["services"]
        waiting = [each["name"] for each in services if not each["ready"]]
    except OSError as error:
        waiting = [f"admin: {error}"]
    if not waiting:
        sys.exit(0)
    if time.monotonic() > deadline:
        sys.exit(f"not ready: {', '.join(waiting)}")
    time.sleep(1)
