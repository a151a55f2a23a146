"""`holdfast certificates`: the identities and generated secrets of one release, made and renewed in its cluster.

Run by the chart as a Job at every install and upgrade and as a CronJob after that; each run does only what is due:

- makes the authority, kept in a Secret of its own (`ca.crt`, `ca.key`), and one Secret of type kubernetes.io/tls for
  every certificate: `tls.crt`, `tls.key`, and in `ca.crt` every authority that is trusted now;
- issues a certificate again where less than a third of its validity is left, its names are not the wanted ones, or it
  cannot be used;
- replaces the authority where less than a third of its validity is left, in three steps of `overlap_hours` each: the
  next one is trusted, it issues, the previous one is forgotten once nothing of its can be in use;
- makes generated values that are not there yet, and never changes one that is.

The plan is a file (`--plan`), as the chart renders it:

    authority: {secret: holdfast-authority, validity_days: 1825}
    validity_days: 90
    overlap_hours: 24
    labels: {app.kubernetes.io/instance: holdfast}
    certificates:
      - identity: execution
        secret: holdfast-certificate-execution
        names: [holdfast-execution, holdfast-execution.trading.svc]
    generated:
      - {secret: holdfast-admin-token, keys: [ADMIN_TOKEN]}
      - {secret: holdfast-broker, keys: [ALPACA_API_KEY, ALPACA_SECRET_KEY]}

Rights that it needs on secrets: `get` and `update` on the plan's names, which the chart makes empty and gives no other
right on; `create` where one of them is not there, `delete` for `--remove`.
An `identity` is both a name of the certificate and its URI spiffe://holdfast/<identity>; `names` are further DNS names.
"""

import base64
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Self

import typer
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from pydantic import Field, ValidationError, model_validator
from rich.console import Console
from rich.text import Text

from holdfast_runtime.config_yaml import YamlProblem, parse_file
from holdfast_runtime.errors import AskPerson, GiveUp, HoldfastError
from holdfast_runtime.identity import SPIFFE_PREFIX, Authority
from holdfast_runtime.kubernetes import Cluster, Conflict, Object
from holdfast_runtime.section import Section

TRIES = 5
"""Times that one Secret is read and written again, where somebody else writes it too."""
EMPTY = """kubectl patch --type=json --patch='[{"op":"remove","path":"/data"}]' secret"""

EXIT_FAILED, EXIT_USAGE = 1, 2
GENERATED_BYTES = 32
_NAME = r"^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?$"
SecretName = Annotated[str, Field(pattern=_NAME)]

Data = dict[str, bytes]
"""What a Secret holds."""


class AuthorityPlan(Section):
    """Where the authority is kept."""

    secret: SecretName
    validity_days: int = Field(default=5 * 365, ge=2)


class CertificatePlan(Section):
    """One identity."""

    identity: str = Field(pattern=r"^[a-z0-9-]{1,63}$")
    secret: SecretName
    names: tuple[str, ...] = ()


class GeneratedPlan(Section):
    """One Secret of random values."""

    secret: SecretName
    keys: tuple[str, ...] = Field(min_length=1)


class Plan(Section):
    """All that one release has."""

    authority: AuthorityPlan
    validity_days: int = Field(default=90, ge=2)
    overlap_hours: int = Field(default=24, ge=0)
    labels: dict[str, str] = Field(default_factory=dict)
    certificates: tuple[CertificatePlan, ...] = ()
    generated: tuple[GeneratedPlan, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all Secrets that it makes."""
        return (
            self.authority.secret,
            *(each.secret for each in self.certificates),
            *(each.secret for each in self.generated),
        )

    @model_validator(mode="after")
    def _each_secret_once(self) -> Self:
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise ValueError(f"every part has a Secret of its own; given twice: {', '.join(twice)}")
        return self


class Maker:
    """Does what is due of a plan; `told` gets one line for each thing done."""

    def __init__(self, plan: Plan, cluster: Cluster, *, now: datetime, told: Callable[[str], None]) -> None:
        self._plan = plan
        self._cluster = cluster
        self._now = now
        self._told = told

    def make(self) -> None:
        """Raises AskPerson where a right lacks or what is stored is not to be used, Retry where the API is away."""
        held = self._keep(self._plan.authority.secret, "Opaque", self._authority)
        authority = Authority.restore(held["ca.crt"], held["ca.key"], now=self._now)
        trusted = b"".join(held[key] for key in ("ca.crt", "next.crt", "previous.crt") if key in held)
        for each in self._plan.certificates:
            self._keep(each.secret, "kubernetes.io/tls", partial(self._issue, each, authority, trusted))
        for generated in self._plan.generated:
            self._keep(generated.secret, "Opaque", partial(self._generate, generated))

    def remove(self) -> None:
        """Deletes every Secret of the plan."""
        for name in self._plan.names:
            if self._cluster.delete("secrets", name):
                self._told(f"{name}: removed")

    def _authority(self, data: Data) -> Data:
        """The authority's Secret as it shall be: made, and moved on by one step where one is due."""
        where = self._plan.authority.secret
        if "ca.crt" not in data and "ca.key" not in data:
            self._told(f"{where}: a new authority")
            return data | _pair("ca", self._new_authority())
        try:
            current = Authority.restore(data["ca.crt"], data["ca.key"], now=self._now)
        except (KeyError, ValueError) as error:
            raise AskPerson(
                f"secret {where} holds no authority that can be used: {error}",
                steps=(
                    f"restore secret {where} from a backup",
                    f"or empty it, and restart every pod once the job has made a new one: {EMPTY} {where}",
                ),
            ) from error
        if current.expires <= self._now:
            self._told(f"{where}: a new authority at once, the old one ended on {current.expires:%Y-%m-%d}")
            return _pair("ca", self._new_authority())
        data = dict(data)
        if "previous.crt" in data and _begins(data["ca.crt"]) + self._overlap * 2 < self._now:
            self._told(f"{where}: the previous authority is trusted no more")
            del data["previous.crt"]
        if "next.crt" in data and _begins(data["next.crt"]) + self._overlap <= self._now:
            self._told(f"{where}: the next authority issues from now on")
            return {"previous.crt": data["ca.crt"], "ca.crt": data["next.crt"], "ca.key": data["next.key"]}
        if "next.crt" not in data and self._due(data["ca.crt"]):
            self._told(f"{where}: a next authority is trusted beside {current.expires:%Y-%m-%d}'s")
            return data | _pair("next", self._new_authority())
        return data

    def _new_authority(self) -> Authority:
        return Authority(now=self._now, validity=timedelta(days=self._plan.authority.validity_days))

    @property
    def _overlap(self) -> timedelta:
        return timedelta(hours=self._plan.overlap_hours)

    def _issue(self, wanted: CertificatePlan, authority: Authority, trusted: bytes, data: Data) -> Data:
        why = self._why_issue(wanted, authority, data)
        if not why:
            return data | {"ca.crt": trusted}
        self._told(f"{wanted.secret}: a certificate for {wanted.identity}: {why}")
        found = authority.issue(wanted.identity, names=wanted.names, validity=timedelta(days=self._plan.validity_days))
        return data | {"tls.crt": found.certificate, "tls.key": found.key, "ca.crt": trusted}

    def _why_issue(self, wanted: CertificatePlan, authority: Authority, data: Data) -> str:
        """Why what is stored does not do; empty where it does."""
        if not data.get("tls.crt"):
            return "there was none"
        try:
            found = x509.load_pem_x509_certificate(data["tls.crt"])
            key = serialization.load_pem_private_key(data["tls.key"], None)
            found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (KeyError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
            return f"it cannot be used ({type(error).__name__})"
        if key.public_key() != found.public_key():
            return "its key is another one's"
        dns = set(names.get_values_for_type(x509.DNSName))
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        if uris != [SPIFFE_PREFIX + wanted.identity] or not dns >= {wanted.identity, *wanted.names}:
            return "its names have changed"
        if self._due(data["tls.crt"]):
            return f"it ends on {found.not_valid_after_utc:%Y-%m-%d}"
        return ""

    def _generate(self, wanted: GeneratedPlan, data: Data) -> Data:
        missing = [key for key in wanted.keys if not data.get(key)]
        if missing:
            self._told(f"{wanted.secret}: made {', '.join(missing)}")
        return data | {key: secrets.token_urlsafe(GENERATED_BYTES).encode() for key in missing}

    def _due(self, certificate: bytes) -> bool:
        """True where less than a third of its validity is left."""
        found = x509.load_pem_x509_certificate(certificate)
        validity = found.not_valid_after_utc - found.not_valid_before_utc
        return found.not_valid_after_utc - self._now < validity / 3

    def _keep(self, name: str, kind: str, wanted: Callable[[Data], Data]) -> Data:
        """Makes the Secret hold what `wanted` makes of what it holds; returns that. Writes only a difference."""
        for _ in range(TRIES):
            found = self._cluster.get("secrets", name)
            data = _data_of(found)
            new = wanted(data)
            if found is not None and new == data:
                return new
            with suppress(Conflict):
                if found is None:
                    self._cluster.create("secrets", self._secret(name, kind, new))
                else:
                    self._cluster.replace("secrets", found | {"data": _encoded(new)})
                return new
        raise GiveUp(f"secret {name}: somebody else writes it all the time")

    def _secret(self, name: str, kind: str, data: Data) -> Object:
        metadata = {"name": name, "labels": self._plan.labels}
        return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": _encoded(data)}


def load_plan(file: Path) -> Plan:
    """Raises GiveUp with every problem."""
    try:
        return Plan.model_validate(parse_file(file).tree)
    except YamlProblem as error:
        raise GiveUp(f"{file}: {error}") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))
        raise GiveUp(f"{file}: " + "; ".join(lines)) from None


def command(
    plan: Annotated[Path, typer.Option("--plan", help="What to make: YAML.")],
    remove: Annotated[bool, typer.Option("--remove", help="Delete all of it instead: after an uninstall.")] = False,
    server: Annotated[str, typer.Option(help="Address of a `kubectl proxy`. Default: the pod's own cluster.")] = "",
    namespace: Annotated[str, typer.Option(help="With --server: the namespace.")] = "default",
) -> None:
    """Make and renew the certificates and generated secrets of a release in its cluster. Safe to run at any time.

    Exit codes: 0 all is as planned, 1 it is not, 2 the plan is refused.
    """
    console, errors = Console(), Console(stderr=True)
    try:
        wanted = load_plan(plan)
    except GiveUp as error:
        _tell(errors, f"holdfast: the plan is refused\n{error}")
        raise typer.Exit(EXIT_USAGE) from None
    try:
        with Cluster.at(server, namespace) if server else Cluster.of_pod() as cluster:
            maker = Maker(wanted, cluster, now=datetime.now(UTC), told=lambda line: _tell(console, line))
            if remove:
                maker.remove()
            else:
                maker.make()
    except HoldfastError as error:
        steps = error.steps if isinstance(error, AskPerson) else ()
        _tell(errors, "\n  - ".join((f"holdfast: {error}", *steps)))
        raise typer.Exit(EXIT_FAILED) from None


def _tell(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)


def _pair(prefix: str, authority: Authority) -> Data:
    return {f"{prefix}.crt": authority.certificate, f"{prefix}.key": authority.key}


def _begins(certificate: bytes) -> datetime:
    return x509.load_pem_x509_certificate(certificate).not_valid_before_utc


def _data_of(secret: Object | None) -> Data:
    return {key: base64.b64decode(value) for key, value in ((secret or {}).get("data") or {}).items()}


def _encoded(data: Data) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}
