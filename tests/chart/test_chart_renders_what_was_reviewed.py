"""The chart's form: lint, schema of values, golden manifests, and that Kubernetes knows every field (IN-7)."""

import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.chart.golden import FOLDER, reviewed
from tests.chart.rendering import CHART, KUBERNETES, ROOT, VALUES, helm, rendered, template, tool, values_file

OLDEST_KUBERNETES = "1.30.0"
OPERATORS = ("Certificate", "ExternalSecret", "PrometheusRule", "ScaledObject", "ServiceMonitor")
"""Kinds of operators that a cluster may have; their schemas are not Kubernetes' own."""


@pytest.mark.parametrize("name", VALUES)
def test_lint_finds_nothing(name: str) -> None:
    done = helm("lint", "--strict", "--kube-version", KUBERNETES, str(CHART), *values_file(name))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", VALUES)
def test_manifests_are_the_reviewed_ones(name: str) -> None:
    assert reviewed(name) == (FOLDER / f"{name}.yaml").read_text(), "look at the difference, then `make chart`"


@pytest.mark.parametrize("name", VALUES)
def test_rendering_twice_gives_the_same(name: str) -> None:
    assert template(*values_file(name)).stdout == rendered(name)


@pytest.fixture(scope="module", params=[OLDEST_KUBERNETES, KUBERNETES])
def schemas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kubernetes' own schemas of one version as kubeconform reads them, from a package: no network is asked."""
    packaged = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{request.param}-local-strict"
    folder = tmp_path_factory.mktemp("schemas")
    for file in packaged.glob("*.json"):
        # Beside each other in one folder, wherever their ids say that they live.
        text = file.read_text().replace("/api/_definitions.json", "_definitions.json")
        (folder / file.name).write_text(text.replace('"$id": "https:', '"$comment": "https:'))
    return folder


def test_kubernetes_knows_every_kind_and_field(schemas: Path) -> None:
    found = "".join(rendered(name) for name in VALUES)
    location = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    command = [tool("kubeconform"), "-strict", "-skip", ",".join(OPERATORS), "-schema-location", location]
    done = subprocess.run(command, input=found, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_files_of_the_chart_are_current() -> None:
    command = [sys.executable, str(ROOT / "tools" / "chart.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


ALPACA = "config.venue.kind=alpaca,secrets.broker.existingSecret=keys"
LIVE = f"{ALPACA},config.account.id=main,config.account.live=true"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("colour=red", "additional properties 'colour' not allowed"),
        ("config.gate.max_position=3", "additional properties 'max_position' not allowed"),
        ("config.gate.max_positions=0", "minimum: got 0, want 1"),
        ("services.gate.replica=2", "additional properties 'replica' not allowed"),
        ("nats.servers=2", "value must be one of 1, 3"),
        ("image.digests.gate=latest", "does not match pattern"),
        ("config.endpoints.gate=here:1", "config.endpoints is the chart's own"),
        ("config.bus.url=nats://there:1", "config.bus.url is the chart's own"),
        ("config.execution.ledger_url=sqlite://", "config.execution.ledger_url is the chart's own"),
        ("services.execution.keda.enabled=true", "services.execution.keda: only scoring is scaled"),
        ("services.scoring.keda.enabled=true,services.scoring.keda.maxReplicas=9", "there are 2 strategies"),
        (
            "services.scoring.keda.enabled=true,services.scoring.replicas=2,services.scoring.keda.maxReplicas=1",
            "keda.maxReplicas is 1",
        ),
        ("services.signal.replicas=2", "services.signal.replicas must be 1"),
        ("services.reconciliation.replicas=2", "services.reconciliation.replicas must be 1"),
        ("services.admin.replicas=2", "its volume is mounted by one pod"),
        ("config.account.live=true", "a recording has no live account"),
        (f"{LIVE}", 'live.acknowledgement: "main trades real money"'),
        (f"{LIVE},live.acknowledgement=main trades real money", "a PostgreSQL with a synchronous replica"),
        ("live.acknowledgement=paper trades real money", "give both or none"),
        ("config.venue.kind=alpaca", "secrets.broker.existingSecret must name a Secret"),
        ("postgresql.enabled=false", "postgresql.existingSecret must name a Secret with LEDGER_URL"),
        ("postgresql.existingSecret=ledger", "one of the two is the ledger"),
        ("postgresql.discard=true", "what holds the ledger cannot be discarded"),
        ("nats.enabled=false", "nats.url must name another NATS"),
        ("nats.url=tls://there:4222", "one of the two is the bus"),
        (r"nats.enabled=false,nats.url=tls://one:4222\,nats://two:4222", "nats.url must be tls://"),
        ("config.bus.replicas=3", "every copy needs a server of its own"),
        ("certificates.source=certManager", "issuerRef.name must name an issuer"),
        ("jaeger.enabled=true,config.telemetry.otlp_endpoint=http://there:4318", "traces go to one of the two"),
        ("externalSecrets.secrets.keys.ALPACA_API_KEY.key=alpaca", "externalSecrets.store.name must name the store"),
        ("monitoring.runbooks=docs/runbooks", "does not match pattern"),
        ("pod.preStopSleepSeconds=20", "must be 15 above pod.preStopSleepSeconds"),
    ],
)
def test_values_that_cannot_work_are_refused_with_a_sentence(values: str, sentence: str) -> None:
    done = template("--set", values)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_execution_may_stand_still_while_a_ledger_is_restored() -> None:
    assert template("--set", "services.execution.replicas=0").returncode == 0
    assert template("--set", "services.gate.replicas=0").returncode != 0


@pytest.mark.parametrize("drill", ["pod.shareProcessNamespace=true", "image.development=true"])
@pytest.mark.parametrize("name", ["production", "everything"])
def test_a_live_account_has_nothing_of_a_drill_or_of_development(name: str, drill: str) -> None:
    live = ["--set", "config.account.id=main,config.account.live=true,live.acknowledgement=main trades real money"]
    assert template(*values_file(name), *live).returncode == 0
    done = template(*values_file(name), *live, "--set", drill)
    assert "never with a live account" in done.stderr


@pytest.mark.parametrize(
    ("value", "folder"), [("", "docs/runbooks"), ("https://runbooks.test/holdfast/", "https://runbooks.test/holdfast")]
)
def test_an_alert_links_to_its_runbook_where_these_are_said_to_be(value: str, folder: str) -> None:
    manifests = template("--set", f"monitoring.enabled=true,monitoring.runbooks={value}").stdout
    (rule,) = [each for each in yaml.safe_load_all(manifests) if each and each["kind"] == "PrometheusRule"]
    alerts = [each for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each]
    assert alerts
    for each in alerts:
        assert each["annotations"]["runbook_url"] == f"{folder}/{each['alert']}.md"
