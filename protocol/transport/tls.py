"""Meeting a node over plain TLS, to see who it is and to say what is wrong.

gRPC hides why a connection failed. Before the first call to a party, and whenever a call finds the connection gone,
the client meets the node once with the same key material, and the error can say which certificate is wrong and how.
"""

import socket
import ssl
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from protocol.errors import PeerError, TransportError
from protocol.identity import CERT_FILE, KEY_FILE, Described, TlsMaterial, describe
from protocol.identity.certificates import dns_label, refuse_demo, refuse_expired, refuse_other
from protocol.transport.address import Address
from protocol.transport.persistent import TooSlow

_MEETING_S: Final = 5.0


class Stalled(TooSlow):
    """The other side answers nothing: its process is stopped, its machine hangs, or packets get lost.

    A node that restarts refuses connections, and is asked again. Silence takes seconds at each try.
    """


class NotAccepted(PeerError):
    """The other side hung up after it had seen our certificate. gRPC gives no reason."""


@dataclass(frozen=True)
class Met:
    """A node that was met: what TLS negotiated, and what its certificate says."""

    tls_version: str
    cipher: str
    certificate: Described


def meet(party: str, address: Address, tls: TlsMaterial) -> Met:
    """Shake hands with a party's node, both ways authenticated, and hang up.

    Raises: TransportError: nothing answers there. PeerError: a certificate, ours or theirs, is not as it should be.
    """
    refuse_expired(tls.party, tls.certificate)
    certificate = _shown(party, address)
    refuse_expired(party, certificate)
    refuse_other(party, certificate, tls.authority)
    if not tls.demo:
        refuse_demo(party, certificate)
    return _shake_hands(party, address, tls)


def down(party: str, address: Address) -> TransportError:
    """The error of a node that nobody answers for."""
    return TransportError(
        party, f"did not answer at {address}", "start it with `partner-node serve --config node.toml` and run again"
    )


def stalled(party: str, address: Address) -> Stalled:
    """The error of a node that takes connections and does not answer."""
    thing = f"takes connections at {address} and does not answer: its process is stopped, or its machine overloaded"
    return Stalled(party, thing, "let its operator continue it, and run again")


def _shown(party: str, address: Address) -> x509.Certificate:
    """The certificate that a node shows to anybody, unverified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connect(party, address) as plain, context.wrap_socket(plain, server_hostname=dns_label(party)) as secure:
            shown = secure.getpeercert(binary_form=True)
    except ssl.SSLEOFError:
        raise down(party, address) from None
    except ssl.SSLError:
        shown = None
    except TimeoutError:
        raise stalled(party, address) from None
    except OSError:
        raise down(party, address) from None
    if shown is None:
        raise PeerError(party, f"what answers at {address} is not a node: it speaks no TLS", "correct the address")
    return x509.load_der_x509_certificate(shown)


def _shake_hands(party: str, address: Address, tls: TlsMaterial) -> Met:
    """The handshake in full, and the first byte after it: with TLS 1.3 our certificate is judged only then."""
    context = ssl.create_default_context(cadata=tls.ca_pem.decode())
    context.load_cert_chain(tls.folder / CERT_FILE, tls.folder / KEY_FILE)
    context.set_alpn_protocols(["h2"])
    try:
        with _connect(party, address) as plain, context.wrap_socket(plain, server_hostname=dns_label(party)) as secure:
            certificate = ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True) or b"").encode()
            met = Met(secure.version() or "", (secure.cipher() or ("",))[0], describe(certificate))
            accepted = bool(secure.recv(1))
    except ssl.SSLCertVerificationError as error:
        thing = f"its certificate does not hold: {error.verify_message}"
        raise PeerError(party, thing, "have a new one issued") from None
    except TimeoutError:
        raise stalled(party, address) from None
    except (ssl.SSLError, ConnectionError):
        accepted = False
    except OSError:
        raise down(party, address) from None
    if not accepted:
        thing = (
            f"does not accept the certificate of {tls.party}: its ca.pem is of another authority, or its clock is wrong"
        )
        raise NotAccepted(party, thing, "let both sides use certificates of one authority, and set the clocks")
    return met


def unreachable(party: str, address: Address) -> Stalled:
    """The error of a node whose machine does not even take connections."""
    thing = f"did not answer at {address} within {_MEETING_S:g} s: its machine is down, or packets to it get lost"
    return Stalled(party, thing, "restore the connection between the two machines, and run again")


def _connect(party: str, address: Address) -> socket.socket:
    try:
        return socket.create_connection(address, timeout=_MEETING_S)
    except TimeoutError:
        raise unreachable(party, address) from None
    except OSError:
        raise down(party, address) from None
