"""Tests that need Flower: `make test-flower` runs them in an environment of their own."""

import os
from importlib.util import find_spec

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

if find_spec("flwr") is None:
    collect_ignore_glob = ["test_*.py"]
