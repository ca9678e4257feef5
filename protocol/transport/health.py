"""Health: a loopback port of its own, plain HTTP, that says no more than that the node is up."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from protocol.errors import UsageError
from protocol.transport.address import Address, port_in_use

BODY = b'{"status": "ok"}\n'


class _Answer(BaseHTTPRequestHandler):
    """GET /healthz: 200. Anything else: 404."""

    server_version = "health"
    sys_version = ""

    def do_GET(self) -> None:
        """Say that the node is up."""
        found = self.path == "/healthz"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY) if found else 0))
        self.end_headers()
        if found:
            self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        """A monitor asks every few seconds: not worth a log."""


class Health:
    """Answers `GET /healthz` until closed. Raises: UsageError: the port is in use, or not a loopback port."""

    def __init__(self, party: str, address: Address) -> None:
        if not address.is_loopback:
            raise UsageError(
                party, f"the health port {address} can be reached from other machines", "set it to 127.0.0.1:port"
            )
        try:
            self._server = ThreadingHTTPServer((address.host, address.port), _Answer)
        except OSError:
            raise port_in_use(party, address) from None
        self.address = Address(address.host, self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
