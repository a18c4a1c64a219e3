"""The chart as it is rendered: what is installed, what is refused, and that settings reach the operator."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from tests.cluster.programs import program

from redstart.api.crd import DEFINITIONS, crd
from redstart.settings import Settings, parse

CHART = Path("charts/redstart")
VALUES = {
    "default": (),
    "namespaced": (
        "watchNamespaces={team-a,team-b}",
        "podUpdatePolicy.enabled=false",
        "modelVersionPolicy.enabled=false",
        "rbac.aggregate=false",
    ),
    "highly-available": (
        "replicas=2",
        "networkPolicy.egress.enabled=true",
        "metrics.serviceMonitor.enabled=true",
        "metrics.podMonitor.enabled=true",
        "priorityClassName=system-cluster-critical",
    ),
}


def helm(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("helm"), *arguments], capture_output=True, text=True, check=check)


def template(*values: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    options = [option for value in values for option in ("--set", value)]
    return helm(
        "template",
        "redstart",
        str(CHART),
        "-n",
        "redstart-system",
        "--kube-version=1.35.4",
        *options,
        check=check,
    )


def objects(*values: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(template(*values).stdout) if document]


def one(kind: str, rendered: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = (item for item in rendered if item["kind"] == kind)
    return found


def operator_rules(rendered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every rule of the roles that are bound to the operator's ServiceAccount."""
    bound = {item["roleRef"]["name"] for item in rendered if item["kind"].endswith("RoleBinding")}
    return [
        rule
        for item in rendered
        if item["kind"] in ("Role", "ClusterRole") and item["metadata"]["name"] in bound
        for rule in item["rules"]
    ]


@pytest.mark.parametrize("name", VALUES)
def test_it_renders_what_was_reviewed(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.yaml", template("crds.enabled=false", *VALUES[name]).stdout)


def test_helm_finds_no_fault() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART)).stdout


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("replicas=3", "/replicas': maximum: got 3, want 2"),
        ("replcas=2", "additional properties 'replcas' not allowed"),
        ("settings.log.format=xml", "/settings/log/format': value must be one of 'text', 'json'"),
        ("settings.resyncInterval=10min", "/settings/resyncInterval': '10min' does not match"),
        ("settings.metricsPort=8081", "settings.metricsPort and settings.healthPort must differ"),
        ("settings.allowedFormats={Pickle}", "/settings/allowedFormats/0': value must be one of"),
        ("watchNamespaces={Team A}", "/watchNamespaces/0': 'Team A' does not match"),
        ("watchNamespaces={a,a}", "/watchNamespaces': items at 0 and 1 are equal"),
        ("image.repository=redstart:v1", "/image/repository': 'redstart:v1' does not match"),
        ("image.digest=abc", "/image/digest': 'abc' does not match"),
        ("serviceAccount.create=false", "serviceAccount.name: name the ServiceAccount that exists"),
        ("resources=small", "/resources': got string, want object"),
        (
            "replicas=2,settings.leaderElection.enabled=false",
            "two operators need settings.leaderElection.enabled",
        ),
        ("settings.resyncInterval=0ms", "settings.resyncInterval: 0ms must be more than zero"),
        ("settings.rollout.scrapeInterval=0s", "settings.rollout.scrapeInterval: 0s must be more than zero"),
        ("settings.serving.drain=0s", "settings.serving.drain: 0s must be more than zero"),
        ("settings.serving.drain=1h", "settings.serving.drain: 1h must be at most 10m"),
        ("settings.serving.drain=10m1ms", "settings.serving.drain: 10m1ms must be at most 10m"),
        (
            "settings.leaderElection.renewDeadline=20s",
            "settings.leaderElection.renewDeadline: 20s must be shorter than leaseDuration, 15s",
        ),
        (
            "settings.leaderElection.retryPeriod=0m10s",
            "settings.leaderElection.retryPeriod: 0m10s must be shorter than renewDeadline, 10s",
        ),
        (
            "settings.leaderElection.leaseDuration=10500ms",
            "settings.leaderElection.leaseDuration: 10500ms must be whole seconds",
        ),
        (
            "settings.pods.labels.redstart\\.dev/model=a",
            "settings.pods.labels: redstart.dev/model is set by the operator",
        ),
        (
            "settings.pods.resources.router.limits.memory=much",
            "/router/limits/memory': 'much' does not match",
        ),
        (
            "settings.pods.listenOn=localhost",
            "/settings/pods/listenOn': value must be one of '::', '0.0.0.0'",
        ),
        ("settings.leaderElection=null", "/settings': missing property 'leaderElection'"),
        ("networkPolicy.egress=null", "/networkPolicy': missing property 'egress'"),
    ],
    ids=lambda text: text if "=" in text else "",
)
def test_a_bad_value_is_refused_by_name(value: str, sentence: str) -> None:
    result = template(value, check=False)
    assert result.returncode == 1
    assert sentence in result.stderr


def test_every_value_is_described_and_every_description_has_a_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(schema: dict[str, Any], value: Any, path: str) -> None:
        assert path == "" or schema.get("description"), f"{path} has no description"
        properties = schema.get("properties")
        if properties is not None and isinstance(value, dict):
            optional = {"global"} if path == "" else set()
            assert set(properties) - optional == set(value), path
            for name, item in value.items():
                compare(properties[name], item, f"{path}.{name}")

    compare(schema, values, "")


OPTIONAL = {
    "affinity", "annotations", "digest", "fullnameOverride", "global", "imagePullSecrets", "labels", "metricsFrom",
    "name", "nameOverride", "nodeSelector", "podAnnotations", "podLabels", "priorityClassName", "pullPolicy",
    "resources", "tag", "tolerations", "topologySpreadConstraints",
}  # fmt: skip
"""Values that null may take away, as Helm reads it."""


def test_what_the_templates_need_is_required_and_the_rest_may_be_null() -> None:
    optional: list[str] = []

    def compare(schema: dict[str, Any], value: Any, path: str) -> None:
        if not isinstance(value, dict) or "properties" not in schema:
            return
        assert set(schema.get("required", [])) == set(schema["properties"]) - OPTIONAL, path
        for name, item in value.items():
            if name in OPTIONAL:
                optional.append(f"{path}{name}=null")
            compare(schema["properties"][name], item, f"{path}{name}.")

    schema = json.loads((CHART / "values.schema.json").read_text())
    compare(schema, yaml.safe_load((CHART / "values.yaml").read_text()), "")
    rendered = objects("metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true", *optional)
    assert parse(one("ConfigMap", rendered)["data"]["settings.yaml"]).images.router.endswith("/envoy:0.1.0")


@pytest.mark.parametrize(
    "values",
    [
        pytest.param("settings.serving.drain=9m59s1000ms", id="the longest drain"),
        pytest.param(
            "settings.leaderElection.leaseDuration=0h08s1000ms,settings.leaderElection.renewDeadline=8s999ms,"
            "settings.leaderElection.retryPeriod=8s998ms",
            id="leases that differ by a millisecond",
        ),
        pytest.param("settings.rollout.scrapeInterval=1ms", id="the shortest interval"),
        pytest.param("settings.resyncInterval=99999h99999h99999h99999h", id="the longest interval"),
    ],
)
def test_a_duration_at_its_bound_is_taken_by_chart_and_operator_alike(values: str) -> None:
    parse(one("ConfigMap", objects(values))["data"]["settings.yaml"])


def test_the_operator_takes_the_settings_and_its_own_defaults_are_the_charts() -> None:
    settings = yaml.safe_load(one("ConfigMap", objects())["data"]["settings.yaml"])
    taken = parse(yaml.safe_dump(settings))
    assert taken.images.runtime.endswith("/redstart-runtime:0.1.0")
    assert taken == parse(yaml.safe_dump({"images": settings["images"]}))


def test_every_setting_of_the_operator_is_in_the_chart() -> None:
    settings = yaml.safe_load(one("ConfigMap", objects())["data"]["settings.yaml"])

    def compare(model: type[BaseModel], content: dict[str, Any]) -> None:
        assert {field.alias for field in model.model_fields.values()} == set(content)
        for field in model.model_fields.values():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                compare(field.annotation, content[str(field.alias)])

    compare(Settings, settings)


def test_settings_given_reach_the_file() -> None:
    rendered = objects(
        "settings.log.format=json",
        "watchNamespaces={team-a}",
        "images.router.digest=sha256:" + "0" * 64,
        "settings.pods.env[0].name=HTTPS_PROXY,settings.pods.env[0].value=http://proxy:3128",
        "settings.pods.resources.server.limits.cpu=null",
        "settings.pods.trustedCertificates=company",
    )
    taken = parse(one("ConfigMap", rendered)["data"]["settings.yaml"])
    assert taken.log.format == "json"
    assert taken.watch_namespaces == ("team-a",)
    assert taken.pods.env[0].value == "http://proxy:3128"
    assert taken.pods.resources.server.limits == {"memory": "1Gi"}
    assert taken.pods.trusted_certificates == "company"
    assert taken.images.router == "docker.io/envoyproxy/envoy@sha256:" + "0" * 64


@pytest.mark.parametrize("name", VALUES)
def test_the_operator_never_gets_secrets_wildcards_or_power_over_definitions(name: str) -> None:
    rules = operator_rules(objects(*VALUES[name]))
    assert rules
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert not {"secrets", "customresourcedefinitions", "nodes", "namespaces", "pods/exec"} & set(
            rule["resources"]
        )
        assert "rbac.authorization.k8s.io" not in rule["apiGroups"]
        if set(rule["resources"]) & {"trainingjobs", "inferenceservices"}:
            assert set(rule["verbs"]) == {"get", "list", "watch"}
        if "pods" in rule["resources"]:
            assert not {"create", "delete", "update"} & set(rule["verbs"])


def test_in_namespaced_mode_nothing_of_the_operator_is_cluster_wide() -> None:
    rendered = objects("crds.enabled=false", *VALUES["namespaced"])
    assert not [item["kind"] for item in rendered if "namespace" not in item["metadata"]]
    places = {item["metadata"]["namespace"] for item in rendered if item["kind"] == "Role"}
    assert places == {"team-a", "team-b", "redstart-system"}


@pytest.mark.parametrize("name", VALUES)
def test_the_pod_passes_pod_security_restricted(name: str) -> None:
    pod = one("Deployment", objects(*VALUES[name]))["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


@pytest.mark.parametrize(
    ("value", "policy"), [("true", {"helm.sh/resource-policy": "keep"}), ("false", None)]
)
def test_definitions_are_those_of_the_api_and_stay_when_asked(
    value: str, policy: dict[str, str] | None
) -> None:
    rendered = [item for item in objects(f"crds.keep={value}") if item["kind"] == "CustomResourceDefinition"]
    assert [item["metadata"].pop("annotations", None) for item in rendered] == [policy] * len(DEFINITIONS)
    by_name = {item["metadata"]["name"]: item for item in rendered}
    assert by_name == {f"{each.plural}.redstart.dev": crd(each) for each in DEFINITIONS}


def test_a_long_release_name_keeps_every_name_within_the_limits() -> None:
    result = helm("template", "r" * 53, str(CHART), "--kube-version=1.35.4", "--set", "crds.enabled=false")
    names = re.findall(r"^  name: (\S+)$", result.stdout, re.MULTILINE)
    assert names
    assert max(map(len, names)) <= 63
