"""The mounted certificate of a process, exchanged while it runs (SE-1).

A new one is looked at before it is used: what cannot be used is told, and the last good one goes on.
"""

import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from holdfast_runtime.errors import Retry
from holdfast_runtime.identity import SPIFFE_PREFIX, Identity, IdentityUnavailable, load_identity
from holdfast_runtime.telemetry import metrics

Renewed = Callable[[Identity], Awaitable[None]]
"""Goes over to an identity. Raises Retry where the other side refuses it: it is tried again."""

log = structlog.get_logger()


class Certificates:
    """What is mounted in `folder` for `service`. Raises IdentityUnavailable where there is nothing to begin with."""

    def __init__(self, folder: Path, service: str) -> None:
        self._folder = folder
        self._service = service
        self._users: list[Renewed] = []
        self._behind: list[Renewed] = []
        self.identity = load_identity(folder, service)
        self.kept = ""
        """Why the last good certificate is in use instead of the mounted one; empty where it is not."""

    def use(self, renewed: Renewed) -> None:
        """`renewed` is called with every new identity."""
        self._users.append(renewed)

    def mounted(self) -> Identity:
        """As it is on disk now, in use or not. Raises IdentityUnavailable."""
        return load_identity(self._folder, self._service)

    def client_context(self) -> ssl.SSLContext:
        """For a connection as this service, to a server of the same authority."""
        context = ssl.create_default_context(cadata=self.identity.authority.decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self._folder / f"{self._service}.crt", self._folder / f"{self._service}.key")
        return context

    async def refresh(self, *, now: datetime) -> bool:
        """Reads the files again; True where a new identity was taken into use. `now`: the machine's wall time."""
        try:
            found = self.mounted()
            problem = unusable(found, now=now) if found != self.identity else ""
        except IdentityUnavailable as error:
            found, problem = self.identity, str(error)
        if problem:
            self._keep(problem)
            return False
        changed = found != self.identity
        if changed:
            self.identity, self._behind = found, list(self._users)
        await self._hand_on()
        if changed and not self.kept:
            log.info("certificate.renewed", service=self._service)
        return changed

    async def _hand_on(self) -> None:
        """Gives the new identity to those who do not have it yet; whoever could not take it gets it next time."""
        behind: list[Renewed] = []
        problem = ""
        for renewed in self._behind:
            try:
                await renewed(self.identity)
            except (Retry, ssl.SSLError, OSError) as error:
                behind.append(renewed)
                problem = str(error)
        self._behind = behind
        if problem:
            self._keep(problem)
        else:
            self.kept = ""

    def _keep(self, problem: str) -> None:
        if problem != self.kept:
            log.error("certificate.kept_last_good", service=self._service, reason=problem)
        self.kept = problem
        metrics.SECRET_REFRESH_FAILURES.labels("certificate").inc()


def unusable(identity: Identity, *, now: datetime) -> str:
    """Why an identity cannot be used now; empty where it can."""
    try:
        own, *chain = x509.load_pem_x509_certificates(identity.certificate)
        trusted = x509.load_pem_x509_certificates(identity.authority)
        key = serialization.load_pem_private_key(identity.key, None)
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        return f"it cannot be read: {error}"
    if key.public_key() != own.public_key():
        return "the key is another certificate's"
    if names.get_values_for_type(x509.UniformResourceIdentifier) != [SPIFFE_PREFIX + identity.service]:
        return f"it is not {identity.service}'s"
    if not own.not_valid_before_utc <= now < own.not_valid_after_utc:
        return f"it is valid from {own.not_valid_before_utc:%Y-%m-%d %H:%M} to {own.not_valid_after_utc:%Y-%m-%d %H:%M}"
    if not any(_issued(own, issuer) for issuer in (*chain, *trusted)):
        return "no authority that is trusted here has issued it"
    return ""


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
