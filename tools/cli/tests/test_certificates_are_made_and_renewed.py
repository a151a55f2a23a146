"""Identities of a release: made once, renewed in time, replaced with an overlap; nothing overwritten (SE-1, SE-5)."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from holdfast_cli.certificates import Maker, Plan, load_plan
from holdfast_runtime.errors import AskPerson, GiveUp
from holdfast_runtime.identity import Authority
from tools.cli.tests.kubernetes_in_memory import InMemory

NOW = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
DAY = timedelta(days=1)
AUTHORITY, EXECUTION, BROKER = "hf-authority", "hf-certificate-execution", "hf-broker"
NAMES = "names: [hf-execution, hf-execution.trading.svc]"
PLAN = f"""
authority: {{secret: {AUTHORITY}, validity_days: 365}}
validity_days: 90
overlap_hours: 24
labels: {{app.kubernetes.io/instance: hf}}
certificates:
  - {{identity: execution, secret: {EXECUTION}, {NAMES}}}
  - {{identity: nats, secret: hf-certificate-nats, names: [hf-nats, "*.hf-nats-peers"]}}
generated:
  - {{secret: hf-admin-token, keys: [ADMIN_TOKEN]}}
  - {{secret: {BROKER}, keys: [ALPACA_API_KEY, ALPACA_SECRET_KEY]}}
"""


class Release:
    """One release over time."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "plan.yaml"
        self.api = InMemory()

    def plan(self, text: str = PLAN) -> Plan:
        self._file.write_text(text)
        return load_plan(self._file)

    def run(self, at: datetime = NOW, text: str = PLAN) -> list[str]:
        """What one run tells."""
        told: list[str] = []
        with self.api.cluster() as cluster:
            Maker(self.plan(text), cluster, now=at, told=told.append).make()
        return told

    def held(self, secret: str) -> dict[str, bytes]:
        data = self.api.objects[("secrets", secret)]["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    def certificate(self, secret: str = EXECUTION, key: str = "tls.crt") -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.held(secret)[key])

    def trusted(self, secret: str = EXECUTION) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.held(secret)["ca.crt"])

    def trusts_itself(self) -> bool:
        """True where every certificate was issued by one that every other trusts."""
        found = [self.certificate(each.secret) for each in self.plan().certificates]
        return all(
            any(root.subject == leaf.issuer for root in self.trusted(each.secret))
            for leaf in found
            for each in self.plan().certificates
        )


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


def test_the_first_run_makes_all_and_the_second_nothing(release: Release) -> None:
    assert len(release.run()) == 5
    assert {name for _, name in release.api.objects} == set(release.plan().names)
    made = dict(release.api.objects)
    assert release.run(NOW + DAY) == []
    assert release.api.objects == made
    assert made[("secrets", EXECUTION)]["type"] == "kubernetes.io/tls"
    assert made[("secrets", EXECUTION)]["metadata"]["labels"] == {"app.kubernetes.io/instance": "hf"}


def test_a_certificate_names_its_identity_and_where_it_is_called_and_only_its_authority_has_the_key(
    release: Release,
) -> None:
    release.run()
    names = release.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) >= {"execution", "hf-execution", "hf-execution.trading.svc"}
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://holdfast/execution"]
    release.certificate().verify_directly_issued_by(release.trusted()[0])
    assert "ca.key" in release.held(AUTHORITY)
    assert set(release.held(EXECUTION)) == {"ca.crt", "tls.crt", "tls.key"}


def test_a_certificate_is_issued_again_when_less_than_a_third_of_its_validity_is_left(release: Release) -> None:
    release.run()
    first = release.certificate()
    release.run(NOW + 59 * DAY)
    assert release.certificate() == first
    assert any(EXECUTION in line for line in release.run(NOW + 61 * DAY))
    assert release.certificate().not_valid_after_utc == NOW + 151 * DAY


def test_a_certificate_is_issued_again_when_its_names_change_and_the_others_stay(release: Release) -> None:
    release.run()
    other = release.held("hf-certificate-nats")
    told = release.run(text=PLAN.replace(NAMES, "names: [renamed-execution]"))
    assert told == [f"{EXECUTION}: a certificate for execution: its names have changed"]
    assert release.held("hf-certificate-nats") == other


def test_what_cannot_be_used_is_issued_again(release: Release) -> None:
    release.run()
    held = release.api.objects[("secrets", EXECUTION)]["data"]
    held["tls.key"] = release.api.objects[("secrets", "hf-certificate-nats")]["data"]["tls.key"]
    assert release.run() == [f"{EXECUTION}: a certificate for execution: its key is another one's"]
    release.api.objects[("secrets", EXECUTION)]["data"]["tls.crt"] = base64.b64encode(b"no certificate").decode()
    assert "cannot be used" in release.run()[0]


def test_generated_values_are_never_overwritten_and_missing_ones_are_added(release: Release) -> None:
    data = {"ALPACA_API_KEY": base64.b64encode(b"my own").decode()}
    release.api.objects[("secrets", BROKER)] = {"metadata": {"name": BROKER, "resourceVersion": "1"}, "data": data}
    assert f"{BROKER}: made ALPACA_SECRET_KEY" in release.run()
    held = release.held(BROKER)
    assert held["ALPACA_API_KEY"] == b"my own"
    assert len(held["ALPACA_SECRET_KEY"]) >= 32
    release.run(NOW + DAY)
    assert release.held(BROKER) == held


def test_the_authority_is_replaced_with_an_overlap_and_everybody_trusts_everybody_all_the_time(
    release: Release,
) -> None:
    release.run()
    old = release.certificate(AUTHORITY, "ca.crt")
    day = NOW + 250 * DAY
    release.run(day)
    # Trusted first, by everybody; it issues only after that.
    assert len(release.trusted()) == 2
    assert release.certificate().issuer == old.subject
    release.run(day + DAY / 2)
    assert release.certificate().issuer == old.subject
    release.run(day + DAY)
    new = release.certificate(AUTHORITY, "ca.crt")
    assert release.certificate().issuer == new.subject != old.subject
    assert release.trusted() == [new, old]
    assert release.trusts_itself()
    release.run(day + 3 * DAY)
    assert release.trusted() == [new]
    assert release.trusts_itself()
    assert set(release.held(AUTHORITY)) == {"ca.crt", "ca.key"}


def test_an_authority_that_has_ended_is_replaced_at_once(release: Release) -> None:
    """A cluster that was away for long: nothing of the old one is of use to anybody."""
    release.run()
    old = release.certificate(AUTHORITY, "ca.crt")
    release.run(NOW + 400 * DAY)
    assert release.trusted() == [release.certificate(AUTHORITY, "ca.crt")] != [old]
    assert release.trusts_itself()


def test_an_authority_that_is_there_already_is_used(release: Release) -> None:
    own = Authority(now=NOW)
    data = {"ca.crt": base64.b64encode(own.certificate).decode(), "ca.key": base64.b64encode(own.key).decode()}
    release.api.objects[("secrets", AUTHORITY)] = {
        "metadata": {"name": AUTHORITY, "resourceVersion": "1"},
        "data": data,
    }
    release.run()
    release.certificate().verify_directly_issued_by(x509.load_pem_x509_certificate(own.certificate))


def test_an_authority_that_cannot_be_used_is_left_alone_and_a_person_is_asked(release: Release) -> None:
    release.run()
    release.api.objects[("secrets", AUTHORITY)]["data"]["ca.key"] = base64.b64encode(b"half a").decode()
    before = release.held(AUTHORITY)
    with pytest.raises(AskPerson, match=AUTHORITY):
        release.run()
    assert release.held(AUTHORITY) == before


def test_two_runs_at_once_end_in_one_truth(release: Release) -> None:
    release.api.conflicts_left = 3
    release.run()
    assert release.run() == []
    assert release.trusts_itself()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_right_that_lacks_is_named(release: Release, method: str) -> None:
    """SE-3"""
    release.api.denied = {(method, "secrets")}
    with pytest.raises(AskPerson, match="forbidden") as caught:
        release.run()
    assert any("ServiceAccount" in step for step in caught.value.steps)


def test_removing_leaves_nothing_of_the_plan_and_touches_nothing_else(release: Release) -> None:
    release.run()
    release.api.objects[("secrets", "another")] = {"metadata": {"name": "another"}}
    with release.api.cluster() as cluster:
        Maker(release.plan(), cluster, now=NOW, told=lambda line: None).remove()
    assert set(release.api.objects) == {("secrets", "another")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PLAN.replace("validity_days: 90", "validity_days: none"), "validity_days"),
        (PLAN.replace("overlap_hours", "overlap_minutes"), "overlap_minutes"),
        (PLAN.replace(BROKER, EXECUTION), "given twice"),
        ("authority: [", "line"),
    ],
)
def test_a_plan_that_is_not_understood_is_refused(release: Release, text: str, says: str) -> None:
    with pytest.raises(GiveUp, match=says):
        release.plan(text)
