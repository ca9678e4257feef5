"""Transports: each has one method, `exchange({party: envelope}) -> {party: envelope}`."""

import os

from protocol.transport.base import Transport

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core writes to stderr; our sentences say what is wrong

__all__ = ["Transport"]
