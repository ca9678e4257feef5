"""Addresses as they stand in a config: `host:port`, an IPv6 host in brackets."""

from ipaddress import ip_address
from typing import NamedTuple

from protocol.errors import UsageError


class Address(NamedTuple):
    """Where a node listens. host: without brackets. port: 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(party: str, text: str) -> Address:
    """The address in a config. Raises: UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host.strip("[]") or not port.isdecimal() or int(port) > 65535:
        raise UsageError(party, f"the address {text!r} is not host:port", "write it as 10.0.0.5:7700")
    return Address(host.strip("[]"), int(port))


def port_in_use(party: str, address: Address) -> UsageError:
    """The error of a port that cannot be listened on."""
    return UsageError(
        party,
        f"port {address.port} at {address.host} is in use or not allowed",
        "stop what listens there, or choose another",
    )
