"""All that a bank and a partner must agree on: messages, contracts, encryption, wire and transports."""

from typing import Final

__version__: Final = "0.1.0"

PROTOCOL_VERSION: Final = 2
"""Two nodes talk only if this number is the same at both."""
