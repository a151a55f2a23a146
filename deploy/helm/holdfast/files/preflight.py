"""Says whether the image of a service can be had, starts, and takes the new configuration: preflight.py <service>."""

import importlib
import os
import sys
from pathlib import Path

from holdfast_runtime.config import InvalidConfiguration, load_settings

file = Path("/tmp/holdfast.yaml")
file.write_text(os.environ.pop("NEW_CONFIGURATION"))
try:
    load_settings(file, {}, None)
except InvalidConfiguration as error:
    sys.exit(f"the configuration is refused\n{error}")
importlib.import_module(f"holdfast_{sys.argv[1]}.__main__")
