"""Transports: each has one method, `exchange({party: envelope}) -> {party: envelope}`."""

from protocol.transport.base import Transport

__all__ = ["Transport"]
