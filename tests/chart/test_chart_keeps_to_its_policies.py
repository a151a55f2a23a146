"""What holds for every object that the chart renders (IN-4, IN-8, SE-3, SE-5).

Pods are as the restricted Pod Security standard asks, no environment holds a secret, nothing points to nothing, and the
network policies are the services' own calls.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
import yaml

from holdfast_runtime.bus.permissions import DUTIES
from tests.chart.rendering import (
    CHART,
    VALUES,
    Manifest,
    containers,
    manifests,
    of_kind,
    pods,
    rendered,
    template,
    values_file,
)

TALKS_TO_THE_CLUSTER = re.compile(r"(Cron)?Job/holdfast-certificates-\w+")
GIVEN_BESIDE = {
    "default": set[str](),
    "production": {"holdfast-broker-keys", "holdfast-ledger"},
    "external": {"holdfast-ledger"},
    "everything": {"registry"},
}
"""Secrets that these values say somebody else has made."""

every_values = pytest.mark.parametrize("name", VALUES)


def table() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "files" / "topology.yaml").read_text())
    return found


@every_values
def test_every_pod_is_as_the_restricted_standard_asks(name: str) -> None:
    for where, pod in pods(manifests(name)).items():
        spec, security = pod["spec"], pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, where
        assert security["runAsUser"] > 0, where
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & {key for key, value in spec.items() if value}, where
        kinds = set(chain.from_iterable(set(volume) - {"name"} for volume in spec["volumes"]))
        assert kinds <= {"configMap", "secret", "projected", "emptyDir", "persistentVolumeClaim"}, where
        for container in containers(pod):
            inner = container["securityContext"]
            assert inner["allowPrivilegeEscalation"] is False, where
            assert inner["readOnlyRootFilesystem"] is True, where
            assert inner["capabilities"] == {"drop": ["ALL"]}, where
            assert not any("hostPort" in port for port in container.get("ports", [])), where


@every_values
def test_every_container_says_what_it_needs_and_may_have(name: str) -> None:
    for where, pod in pods(manifests(name)).items():
        for container in containers(pod):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), where
            assert "memory" in resources["limits"], where
        for volume in pod["spec"]["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"], where


@every_values
def test_only_the_maker_of_certificates_has_a_token_of_the_cluster(name: str) -> None:
    found = manifests(name)
    for where, pod in pods(found).items():
        assert pod["spec"]["automountServiceAccountToken"] is bool(TALKS_TO_THE_CLUSTER.fullmatch(where)), where
        assert pod["spec"]["enableServiceLinks"] is False, where
    assert all(each["automountServiceAccountToken"] is False for each in of_kind(found, "ServiceAccount"))


READ = {"configmaps", "deployments", "statefulsets", "services", "roles", "rolebindings"}
"""What admin's drift check compares, by name."""


@every_values
def test_rights_name_the_objects_they_are_for(name: str) -> None:
    """Nothing in the product may delete a pod, or read a Secret that it does not keep. The drift check only reads, and
    somebody else's network policy has no name that could be given."""
    for role in of_kind(manifests(name), "Role", "ClusterRole"):
        assert role["kind"] == "Role"
        only_reads = role["metadata"]["name"].endswith("-admin-release-expected")
        for rule in role["rules"]:
            if only_reads and rule["resources"] == ["networkpolicies"]:
                assert rule["verbs"] == ["list"]
                continue
            allowed = READ if only_reads else {"secrets"}
            assert set(rule["resources"]) <= allowed
            assert set(rule["verbs"]) <= ({"get"} if only_reads else {"get", "update"})
            assert rule["resourceNames"]


@every_values
def test_no_environment_holds_a_secret(name: str) -> None:
    for where, pod in pods(manifests(name)).items():
        for container in containers(pod):
            assert "envFrom" not in container, where
            for variable in container.get("env", []):
                assert "secretKeyRef" not in variable.get("valueFrom", {}), where
                assert not re.search(r"KEY|TOKEN|PASSWORD|SECRET$", variable["name"]), where
                assert not re.search(r"://[^/@]*:[^/@]*@", variable.get("value", "")), where


@every_values
def test_secrets_are_mounted_as_folders_so_that_they_can_be_exchanged(name: str) -> None:
    for where, pod in pods(manifests(name)).items():
        secret = {volume["name"] for volume in pod["spec"]["volumes"] if "secret" in volume or "projected" in volume}
        for container in containers(pod):
            for mount in container["volumeMounts"]:
                assert mount["name"] not in secret or ("subPath" not in mount and mount["readOnly"]), where


@every_values
def test_no_secret_is_rendered(name: str) -> None:
    assert all(not each.get("data") and not each.get("stringData") for each in of_kind(manifests(name), "Secret"))
    assert "PRIVATE KEY" not in rendered(name)


def references(pod: Manifest) -> Iterator[tuple[str, str]]:
    """Kind and name of whatever a pod cannot start without."""
    spec = pod["spec"]
    if "serviceAccountName" in spec:
        yield "ServiceAccount", spec["serviceAccountName"]
    for each in spec.get("imagePullSecrets", []):
        yield "Secret", each["name"]
    for volume in spec["volumes"]:
        for source in [volume, *(volume.get("projected", {}).get("sources") or [])]:
            if "configMap" in source:
                yield "ConfigMap", source["configMap"]["name"]
            if "secret" in source:
                yield "Secret", source["secret"].get("secretName") or source["secret"]["name"]
            if "persistentVolumeClaim" in source:
                yield "PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"]


@every_values
def test_whatever_a_pod_needs_is_there(name: str) -> None:
    found = manifests(name)
    there = {(each["kind"], each["metadata"]["name"]) for each in found}
    there |= {("Secret", each["spec"]["secretName"]) for each in of_kind(found, "Certificate")}
    there |= {("Secret", each["spec"]["target"]["name"]) for each in of_kind(found, "ExternalSecret")}
    there |= {("Secret", secret) for secret in GIVEN_BESIDE[name]} | {("ConfigMap", "kube-root-ca.crt")}
    for where, pod in pods(found).items():
        missing = set(references(pod)) - there
        assert not missing, where


@every_values
def test_every_selector_finds_a_pod(name: str) -> None:
    found = manifests(name)
    labels = [pod["metadata"]["labels"] for pod in pods(found).values()]
    labels += [{**labels[0], "app.kubernetes.io/component": other} for other in table()["others"]]
    for each in of_kind(found, "Service", "Deployment", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"):
        spec = each["spec"]
        wanted = spec.get("podSelector", spec.get("selector"))
        wanted = wanted.get("matchLabels", wanted)
        assert any(wanted.items() <= own.items() for own in labels), each["metadata"]["name"]


@every_values
def test_every_service_names_a_port_that_its_pods_open(name: str) -> None:
    found = manifests(name)
    for service in of_kind(found, "Service"):
        (pod,) = (
            pod
            for pod in pods(found).values()
            if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        )
        opened = {port["name"] for each in containers(pod) for port in each.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= opened, service["metadata"]["name"]


@every_values
def test_services_are_probed_by_grpc_and_end_in_order(name: str) -> None:
    found = {each["metadata"]["name"]: each for each in of_kind(manifests(name), "Deployment")}
    for service in set(table()["services"]) & {each.removeprefix("holdfast-") for each in found}:
        spec = found[f"holdfast-{service}"]["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        probes = {probe: container[f"{probe}Probe"]["grpc"] for probe in ("startup", "liveness", "readiness")}
        assert probes["startup"]["service"] == probes["liveness"]["service"] == "liveness"
        assert probes["readiness"]["service"] == "readiness"
        pause_secs = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert spec["terminationGracePeriodSeconds"] >= pause_secs + 15


@every_values
def test_a_change_of_the_configuration_rolls_pods_and_one_of_a_secret_does_not(name: str) -> None:
    for where, pod in pods(manifests(name)).items():
        if where.startswith(("Deployment", "StatefulSet")) and not where.endswith("jaeger"):
            checksums = {key for key in pod["metadata"]["annotations"] if key.startswith("checksum/")}
            assert checksums == {"checksum/configuration"}, where


@every_values
def test_execution_is_a_deployment_whose_successor_starts_first(name: str) -> None:
    """A StatefulSet's pod on a dead node has no successor, and an update would end the only writer first."""
    (execution,) = (each for each in manifests(name) if each["metadata"]["name"] == "holdfast-execution"
                    and each["kind"] in ("Deployment", "StatefulSet"))  # fmt: skip
    assert execution["kind"] == "Deployment"
    assert execution["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    tolerated = {
        each["key"]: each["tolerationSeconds"]
        for each in execution["spec"]["template"]["spec"]["tolerations"]
        if each["effect"] == "NoExecute"
    }
    assert tolerated == {"node.kubernetes.io/not-ready": 10, "node.kubernetes.io/unreachable": 10}
    assert execution["spec"]["replicas"] == (2 if name in ("production", "everything") else 1)


def test_every_pod_runs_on_the_nodes_that_are_meant_for_it() -> None:
    for where, pod in pods(manifests("everything")).items():
        assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}, where
        assert "trading" in {each["key"] for each in pod["spec"]["tolerations"]}, where


def test_keda_alone_says_how_many_pods_score() -> None:
    deployments = {each["metadata"]["name"]: each for each in of_kind(manifests("everything"), "Deployment")}
    assert "replicas" not in deployments["holdfast-scoring"]["spec"]


@pytest.mark.parametrize("name", ["production", "external", "everything"])
def test_a_migration_reaches_its_ledger_before_the_release_is_changed(name: str) -> None:
    """The job and its network policy are hooks, the policy first."""
    weights = {
        each["kind"]: int(each["metadata"]["annotations"]["helm.sh/hook-weight"])
        for each in of_kind(manifests(name), "Job", "NetworkPolicy")
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == "migration"
    }
    assert weights["NetworkPolicy"] < weights["Job"]


@every_values
def test_names_fit_however_long_the_releases_is(name: str) -> None:
    done = template(*values_file(name), "--set", f"fullnameOverride={'a' * 60}")
    found = [each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each]
    assert all(len(each["metadata"]["name"]) <= (52 if each["kind"] == "CronJob" else 63) for each in found)


@every_values
def test_who_has_a_volume_of_its_own_ends_before_its_successor_starts(name: str) -> None:
    """On another node the successor would wait for the volume for ever."""
    for each in of_kind(manifests(name), "Deployment"):
        volumes = each["spec"]["template"]["spec"]["volumes"]
        owns = any("persistentVolumeClaim" in volume for volume in volumes)
        assert (each["spec"].get("strategy", {}).get("type") == "Recreate") is owns, each["metadata"]["name"]


@every_values
def test_a_person_finds_the_command_under_the_operators_identity(name: str) -> None:
    """IN-8: `kubectl exec deploy/holdfast-operator -- holdfast doctor`."""
    pod = pods(manifests(name))["Deployment/holdfast-operator"]
    (container,) = pod["spec"]["containers"]
    assert {each["name"]: each["value"] for each in container["env"]}["HOLDFAST_CERTIFICATES"]
    assert ("Secret", "holdfast-certificate-operator") in set(references(pod))
    assert "ADMIN_TOKEN" not in str(pod)


@every_values
def test_whatever_trades_may_be_disrupted_one_pod_at_a_time_and_is_spread(name: str) -> None:
    found = manifests(name)
    budgets = {
        each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]: each["spec"]["maxUnavailable"]
        for each in of_kind(found, "PodDisruptionBudget")
    }
    for each in of_kind(found, "Deployment", "StatefulSet"):
        component = each["metadata"]["labels"]["app.kubernetes.io/component"]
        assert budgets.get(component) == 1 or component in ("jaeger", "operator")
        keys = {spread["topologyKey"] for spread in each["spec"]["template"]["spec"]["topologySpreadConstraints"]}
        assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


@every_values
def test_nobody_speaks_but_along_an_edge(name: str) -> None:
    """Default deny, and beside it for each call of files/topology.yaml one policy on each of its ends."""
    found = manifests(name)
    present = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods(found).values()}
    rows = table()["services"] | table()["others"]
    wanted = {
        (caller, callee)
        for caller, row in rows.items()
        for callee in row["calls"]
        if callee in present and (caller in present or caller in ("migration", "operator"))
    }
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(found, "NetworkPolicy")}
    assert policies["holdfast-deny-all"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(policies["holdfast-deny-all"])
    for caller, callee in wanted:
        out, into = policies[f"holdfast-{caller}-to-{callee}"], policies[f"holdfast-{callee}-from-{caller}"]
        assert out["egress"][0]["ports"] == into["ingress"][0]["ports"]
        assert out["podSelector"] == into["ingress"][0]["from"][0]["podSelector"]
        assert into["podSelector"] == out["egress"][0]["to"][0]["podSelector"]
    edges = {each for each in policies if re.search(r"-(to|from)-", each)}
    edges -= {f"holdfast-{caller}-to-{callee}" for caller, callee in wanted}
    edges -= {f"holdfast-{callee}-from-{caller}" for caller, callee in wanted}
    outside = (
        r"holdfast-(to-dns|certificates-to-cluster|admin-to-cluster|from-monitoring|admin-from-people|nats-from-keda"
    )
    assert all(re.fullmatch(rf"{outside}|\w+-to-(broker|postgresql|nats|collector))", each) for each in edges), edges


@every_values
def test_only_who_has_the_brokers_keys_reaches_outside(name: str) -> None:
    brokers = {each for each, row in table()["services"].items() if row.get("broker")} - {"papermarket"}
    outside = {
        each["metadata"]["name"].removeprefix("holdfast-").removesuffix("-to-broker"): each["spec"]["egress"]
        for each in of_kind(manifests(name), "NetworkPolicy")
        if each["metadata"]["name"].endswith("-to-broker")
    }
    assert set(outside) == (brokers if name in ("production", "everything") else set())
    assert all(rule["ports"] == [{"port": 443, "protocol": "TCP"}] for (rule,) in outside.values())


def test_whoever_speaks_to_the_bus_has_duties_on_it() -> None:
    """The table of calls and the table of rights on NATS name the same services."""
    callers = table()["services"] | table()["others"]
    assert {each for each, row in callers.items() if "client" in row["calls"].get("nats", [])} == set(DUTIES)


@every_values
def test_every_image_has_a_tag_or_a_digest(name: str) -> None:
    for where, pod in pods(manifests(name)).items():
        for container in containers(pod):
            assert re.search(r":(?!latest$)[\w.-]+$|@sha256:[0-9a-f]{64}$", container["image"]), where


def test_three_copies_of_every_stream_in_production() -> None:
    (configuration,) = (
        each for each in manifests("production") if each["metadata"]["name"] == "holdfast-configuration"
    )
    bus = yaml.safe_load(configuration["data"]["holdfast.yaml"])["bus"]
    assert bus["replicas"] == 3
    assert len(bus["url"].split(",")) == 3
