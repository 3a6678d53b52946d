"""The authority that signs the door's certificates: made at the first start, kept in one folder.

`ironcage-ca.pem` (key and certificate, mode 0600) is the only file that counts. `ca.pem` (certificate) and
`ca-bundle.pem` (the machine's roots and ours) are written from it at each start, for clients to trust.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mitmproxy import certs
from mitmproxy.net import tls
from OpenSSL import SSL

from trajectory.errors import OperatorError

KEY_FILE = "ironcage-ca.pem"
CERTIFICATE_FILE = "ca.pem"
BUNDLE_FILE = "ca-bundle.pem"


class Authority:
    """Makes a certificate for each host that a client asks for, and keeps the last hundred in memory."""

    def __init__(self, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)
        # No chain, no revocation list, and no finite-field Diffie-Hellman: every client here has elliptic curves.
        self._store = certs.CertStore(key, certs.Cert(certificate), None, b"", certs.DHParams(b""))
        self._context = _server_context()

    def server_side(self, names: Sequence[str]) -> SSL.Connection:
        """The door's end of a TLS handshake, with a certificate for `names`; speaks HTTP/1.1 only.

        Raises UnicodeError for a name that IDNA cannot write.
        """
        subjects = [_general_name(name) for name in dict.fromkeys(names)]
        entry = self._store.get_cert(names[0], subjects)
        connection = SSL.Connection(self._context)
        connection.use_certificate(entry.cert.to_cryptography())
        connection.use_privatekey(entry.privatekey)
        connection.set_accept_state()
        return connection


def _server_context() -> SSL.Context:
    return tls.create_client_proxy_context(
        method=tls.Method.TLS_SERVER_METHOD,
        min_version=tls.Version.TLS1_2,
        max_version=tls.Version.UNBOUNDED,
        cipher_list=None,
        ecdh_curve=None,
        chain_file=None,
        alpn_select_callback=_only_http_1_1,
        request_client_cert=False,
        extra_chain_certs=(),
        dhparams=certs.DHParams(b""),
    )


def open_authority(folder: Path) -> Authority:
    """Read the authority in `folder`, or make one; several processes may try at once. Raises OperatorError."""
    key_file = folder / KEY_FILE
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)  # agents of other users read the certificate
        if not key_file.exists():
            _make_key_file(key_file)
        authority = _read_key_file(key_file)
        _replace(folder / CERTIFICATE_FILE, authority.pem)
        roots = _root_certificates()
        _replace(folder / BUNDLE_FILE, roots if authority.pem in roots else roots + b"\n" + authority.pem)
    except OSError as e:
        raise OperatorError(f"the folder of the proxy's CA cannot be used: {e}", hint="choose another one") from e
    return authority


def _read_key_file(path: Path) -> Authority:
    if path.stat().st_mode & 0o077:
        raise OperatorError(f"others may read the private key {path}", hint=f"chmod 600 {path}")
    pem = path.read_bytes()
    hint = f"remove {path}; the next start makes a new CA, which clients must then trust"
    try:
        key = serialization.load_pem_private_key(pem, None)
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as e:
        raise OperatorError(f"{path} does not hold a private key and a certificate", hint=hint) from e
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise OperatorError(f"{path}: the private key is not the certificate's", hint=hint)
    if certs.Cert(certificate).has_expired():
        raise OperatorError(f"the CA certificate in {path} has expired", hint=hint)
    return Authority(key, certificate)


def _make_key_file(path: Path) -> None:
    key, certificate = certs.create_ca("ironcage", "ironcage proxy CA", 2048)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    written = _written_beside(path, secret + certificate.public_bytes(serialization.Encoding.PEM))
    try:
        path.hardlink_to(written)  # fails if it exists: of several processes that start at once, one makes the key
    except FileExistsError:
        pass
    finally:
        written.unlink()


def _replace(path: Path, content: bytes) -> None:
    written = _written_beside(path, content)
    written.chmod(0o644)
    written.replace(path)


def _written_beside(path: Path, content: bytes) -> Path:
    """A new file of mode 0600 in the same folder, so that no reader ever sees half of it under its final name."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return Path(name)


def _root_certificates() -> bytes:
    """What the machine trusts: SSL_CERT_FILE replaces a client's whole trust store, so ours must be added to it."""
    named = ssl.get_default_verify_paths().cafile  # honours SSL_CERT_FILE; None if there is no such file
    found = Path(named).read_bytes() if named else b""
    return found if b"BEGIN CERTIFICATE" in found else Path(certifi.where()).read_bytes()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode())


def _only_http_1_1(_connection: SSL.Connection, offered: list[bytes]) -> object:
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS
