#!/opt/holdfast/bin/python -IS
"""Becomes the process of the image's service. By exec and not by import, so that the process list names the service."""

import os
import sys

BIN = "/opt/holdfast/bin"
SERVICE = os.environ["HOLDFAST_SERVICE"]

command = [f"{BIN}/holdfast"] if SERVICE == "cli" else [f"{BIN}/python", "-m", f"holdfast_{SERVICE}"]
os.execv(command[0], [*command, *sys.argv[1:]])
