"""Who a service is: the SAN of its certificate, on one machine too (SE-5).

`Authority` is the certificate authority of one run on one machine; in a cluster the certificates are mounted instead,
with the same names of files.
"""

import contextlib
import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast_runtime.errors import AskPerson
from holdfast_runtime.telemetry import metrics

SPIFFE_PREFIX = "spiffe://holdfast/"
AUTHORITY_FILE = "ca.crt"
DEFAULT_VALIDITY = timedelta(days=30)
MIN_VALIDITY = timedelta(days=1)
_CLOCK_SKEW = timedelta(minutes=5)
_SAN = "x509_subject_alternative_name"
_MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What one service needs for mutual TLS, in PEM."""

    service: str
    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes


class IdentityUnavailable(AskPerson):
    """A certificate or key is missing or unreadable. Names the file."""


class Authority:
    """Issues certificates. That of one run keeps its key in memory only, so that nobody can issue more later; that of a
    cluster is kept (`key`) and taken up again by `restore`."""

    def __init__(self, *, now: datetime, validity: timedelta = DEFAULT_VALIDITY) -> None:
        """A new one. `now` is the machine's wall time, which TLS compares with. Raises ValueError for less than
        MIN_VALIDITY."""
        self._begin(now, validity)
        self._key = ec.generate_private_key(ec.SECP256R1())
        # With its key's digest: two authorities that are both trusted for a while are not confused.
        digest = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()).digest
        self._name = _named(f"holdfast authority {digest.hex()[:12]}")
        self._certificate = self._sign_itself()

    @classmethod
    def restore(cls, certificate: bytes, key: bytes, *, now: datetime) -> "Authority":
        """The one whose `certificate` and `key` (PEM) were kept. Raises ValueError where they are no such pair."""
        authority = cls.__new__(cls)
        found = serialization.load_pem_private_key(key, None)
        authority._certificate = x509.load_pem_x509_certificate(certificate)
        if (
            not isinstance(found, ec.EllipticCurvePrivateKey)
            or found.public_key() != authority._certificate.public_key()
        ):
            raise ValueError("the key is not that of the authority's certificate")
        authority._key, authority._name = found, authority._certificate.subject
        authority._begin(now, max(authority.expires - now, MIN_VALIDITY))
        return authority

    def _begin(self, now: datetime, validity: timedelta) -> None:
        if now.tzinfo is None:
            raise ValueError(f"{now!r} is naive: every instant is aware")
        if validity < MIN_VALIDITY:
            raise ValueError(f"a validity of {validity} is shorter than {MIN_VALIDITY}")
        self._now = now
        self._not_before = now - _CLOCK_SKEW
        self._not_after = now + validity

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        """Its private key, PEM: whoever has it can be anybody."""
        return _private_pem(self._key)

    @property
    def expires(self) -> datetime:
        return self._certificate.not_valid_after_utc

    def issue(self, service: str, *, names: Iterable[str] = (), validity: timedelta | None = None) -> Identity:
        """A new key and certificate for `service`; `names`: further DNS names it answers under. `validity` ends with
        the authority's own at the latest, which is the default."""
        key = ec.generate_private_key(ec.SECP256R1())
        dns = dict.fromkeys((service, "localhost", *names))
        alternatives = x509.SubjectAlternativeName(
            [
                *(x509.DNSName(name) for name in dns),
                x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                x509.UniformResourceIdentifier(SPIFFE_PREFIX + service),
            ]
        )
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            self._builder(_named(service), key.public_key())
            .not_valid_after(self._not_after if validity is None else min(self._now + validity, self._not_after))
            .add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(usage, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Identity(
            service=service,
            certificate=certificate.public_bytes(serialization.Encoding.PEM),
            key=_private_pem(key),
            authority=self.certificate,
        )

    def write(self, folder: Path, services: Iterable[str]) -> None:
        """Issues for each of `services` and writes `ca.crt`, `<service>.crt`, `<service>.key` (mode 0600)."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(folder / AUTHORITY_FILE, self.certificate, mode=0o644)
        for service in services:
            identity = self.issue(service)
            _replace(folder / f"{service}.key", identity.key, mode=0o600)
            _replace(folder / f"{service}.crt", identity.certificate, mode=0o644)

    def _sign_itself(self) -> x509.Certificate:
        return (
            self._builder(self._name, self._key.public_key())
            .not_valid_after(self._not_after)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(self, name: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._not_before)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_identity(folder: Path, service: str) -> Identity:
    """Reads what `Authority.write`, or the cluster, put into `folder`. Raises IdentityUnavailable."""
    identity = Identity(
        service=service,
        certificate=_read(folder / f"{service}.crt"),
        key=_read(folder / f"{service}.key"),
        authority=_read(folder / AUTHORITY_FILE),
    )
    for name, pem in (("own", identity.certificate), ("authority", identity.authority)):
        with contextlib.suppress(ValueError):  # what cannot be parsed is refused by TLS itself, with its reason
            ends = x509.load_pem_x509_certificate(pem).not_valid_after_utc
            metrics.CERTIFICATE_EXPIRY.labels(certificate=name).set(ends.timestamp())
    return identity


def peer_name(auth_context: Mapping[str, Iterable[bytes]]) -> str | None:
    """Service name of the caller, from gRPC's `context.auth_context()`; None where its certificate names no service,
    or more than one. The authority has been checked by then: an unknown one ends in the handshake."""
    prefix = SPIFFE_PREFIX.encode()
    found = {name.removeprefix(prefix) for name in auth_context.get(_SAN, ()) if name.startswith(prefix)}
    if len(found) != 1:
        return None
    return found.pop().decode(errors="replace") or None


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
    except OSError as error:
        raise IdentityUnavailable(
            f"{path}: {error.strerror}",
            steps=(f"let `holdfast up` issue the certificates, or mount them into {path.parent}", "start again"),
        ) from error
    if b"-----BEGIN" not in content:
        raise IdentityUnavailable(f"{path}: holds no PEM", steps=(f"replace {path}", "start again"))
    return content


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    """Writes a whole file in one step: a service that starts meanwhile reads the old or the new one, never half."""
    temporary = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    temporary.replace(path)
