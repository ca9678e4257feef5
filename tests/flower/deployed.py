"""Flower's own processes: a SuperLink with TLS, SuperNodes with keys of their own, and `flwr run` against them."""

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import tomli_w
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import experiments
from tests.e2e.commands import free_port, of_session, wait_for

BIN = Path(sys.executable).parent
APP = Path(experiments.__file__).parent / "flower"
_PEM = serialization.Encoding.PEM


class Site:
    """A folder with certificates, and with Flower's home in it. port: the SuperLink's, for all its services."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        self._certify()

    @property
    def variables(self) -> dict[str, str]:
        """Flower's processes call each other by name; each site has a home of its own."""
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        own = {"FLWR_HOME": str(self.folder / "home"), "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_ADDRESS": "local"}
        return {**os.environ, "PATH": path, **own}

    @contextmanager
    def process(self, command: str, *arguments: object) -> Iterator[Path]:
        """One of Flower's commands, with all that it starts; its log."""
        log = self.folder / f"{command}-{free_port()}.log"
        with log.open("wb") as file:
            line = [str(BIN / command), *map(str, arguments)]
            process = subprocess.Popen(line, stdout=file, stderr=file, env=self.variables, start_new_session=True)
            try:
                yield log
            finally:
                for number in (signal.SIGTERM, signal.SIGKILL):
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, number)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(10)
                wait_for(lambda: not of_session(process.pid), 20)

    @contextmanager
    def superlink(self, *arguments: object, tls: bool = True) -> Iterator[None]:
        """A SuperLink that answers."""
        own = ["--ssl-ca-certfile", self.ca, "--ssl-certfile", self.cert, "--ssl-keyfile", self.key]
        common = ["--disable-runtime-dependency-installation", "--host", "127.0.0.1", "--port", self.port]
        with self.process("flower-superlink", *(own if tls else ["--insecure"]), *common, *arguments) as log:
            wait_for(lambda: self._answers(tls) or "Error" in log.read_text(), 60)
            way = {"root-certificates": str(self.ca)} if tls else {"insecure": True}
            home = self.folder / "home"
            home.mkdir(exist_ok=True)
            connection = {"address": f"localhost:{self.port}", **way}
            (home / "config.toml").write_text(tomli_w.dumps({"superlink": {"default": "it", "it": connection}}))
            yield

    def flwr(self, *arguments: object, timeout_s: float = 500) -> str:
        """`flwr`, and what it says."""
        line = [str(BIN / "flwr"), *map(str, arguments)]
        done = subprocess.run(
            line, env=self.variables, capture_output=True, text=True, timeout=timeout_s, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def supernode_keys(self, name: str) -> tuple[Path, Path]:
        """A SuperNode's private and public key."""
        key = ec.generate_private_key(ec.SECP384R1())
        private, public = self.folder / name, self.folder / f"{name}.pub"
        no_password = serialization.NoEncryption()
        private.write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.OpenSSH, no_password))
        as_ssh = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        public.write_bytes(key.public_key().public_bytes(*as_ssh))
        return private, public

    def _answers(self, tls: bool) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca)) if tls else None
        try:
            address = f"{'https' if tls else 'http'}://localhost:{self.port}/health"
            with urllib.request.urlopen(address, timeout=1, context=context):
                return True
        except OSError:
            time.sleep(0.2)
            return False

    def _certify(self) -> None:
        """A CA, and a certificate of it for this machine."""
        root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        certified = _begun(issuer, issuer, root).add_extension(x509.BasicConstraints(True, None), True)
        self.ca.write_bytes(certified.sign(root, hashes.SHA256()).public_bytes(_PEM))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        signed = _begun(subject, issuer, own).add_extension(names, False).sign(root, hashes.SHA256())
        self.cert.write_bytes(signed.public_bytes(_PEM))
        kind = serialization.PrivateFormat.PKCS8
        self.key.write_bytes(own.private_bytes(_PEM, kind, serialization.NoEncryption()))


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    return builder.serial_number(x509.random_serial_number())
