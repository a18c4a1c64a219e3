"""The settings file: what it may hold, and what is said when it holds something else."""

from pathlib import Path

import pytest

from redstart.settings import SettingsError, load, needs_restart, parse

LEAST = "images: {runtime: runtime:1, router: router:1}\n"


def test_the_images_are_enough() -> None:
    settings = parse(LEAST)
    assert settings.images.runtime == "runtime:1"
    assert settings.allowed_formats == ("ONNX", "Skops")
    assert settings.rollout.scrape_interval == 1
    assert settings.leader_election.lease_duration == 15
    assert settings.resync_interval == 600


def test_every_field_is_spelled_as_in_kubernetes() -> None:
    settings = parse(
        LEAST
        + """
watchNamespaces: [a, b]
imagePullPolicy: Always
clusterDomain: example.internal
allowedFormats: [ONNX, Joblib]
log: {format: json, level: debug}
workers: 8
scrapeConnections: 10
resyncInterval: 1h30m
rollout: {scrapeInterval: 500ms}
leaderElection: {enabled: false, leaseDuration: 30s, renewDeadline: 20s, retryPeriod: 5s}
metricsPort: 9000
healthPort: 9001
"""
    )
    assert settings.watch_namespaces == ("a", "b")
    assert settings.resync_interval == 5400
    assert settings.rollout.scrape_interval == 0.5
    assert settings.leader_election.retry_period == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "must be a YAML mapping", id="an empty file"),
        pytest.param("a: [", "is not YAML", id="no YAML"),
        pytest.param("images: {runtime: a}", "images.router: Field required", id="no router image"),
        pytest.param(LEAST + "worker: 2", "worker: Extra inputs are not permitted", id="a field with a typo"),
        pytest.param(LEAST + "workers: 0", "workers: Input should be greater", id="no workers"),
        pytest.param(
            LEAST + "rollout: {scrapeInterval: 1}",
            "rollout.scrapeInterval: must be a duration such as",
            id="a duration without a unit",
        ),
        pytest.param(
            LEAST + "resyncInterval: 0s", "resyncInterval: must be more than zero", id="a duration of nothing"
        ),
        pytest.param(
            LEAST + "resyncInterval: soon", "resyncInterval: 'soon' is not a duration", id="no duration"
        ),
        pytest.param(
            LEAST + "watchNamespaces: [A_B]", "watchNamespaces.0: String should match", id="no namespace"
        ),
        pytest.param(
            LEAST + "leaderElection: {renewDeadline: 20s}",
            "leaderElection: leaseDuration must be longer than renewDeadline",
            id="a deadline after the lease",
        ),
        pytest.param(
            LEAST + "leaderElection: {leaseDuration: 15500ms}",
            "leaseDuration must be whole seconds",
            id="half a second",
        ),
        pytest.param(
            LEAST + "pods: {labels: {redstart.dev/model: a}}",
            r"pods\.labels: redstart\.dev/model is set by the operator",
            id="a label of ours",
        ),
        pytest.param(
            LEAST + "pods: {env: [{name: REDSTART_HOST}]}",
            r"pods\.env: REDSTART_HOST is set by the operator",
            id="a variable of ours",
        ),
        pytest.param(
            LEAST + "pods: {resources: {fetch: {limits: {memory: much}}}}",
            r"pods\.resources\.fetch\.limits\.memory: use a number with",
            id="no quantity",
        ),
        pytest.param(
            LEAST + "pods: {listenOn: localhost}", r"pods\.listenOn: Input should be", id="no address"
        ),
        pytest.param(
            LEAST + "healthPort: 8080", "metricsPort and healthPort must differ", id="one port for two"
        ),
    ],
)
def test_a_mistake_is_told_with_its_field(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse(text)


def test_a_mistake_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    with pytest.raises(SettingsError, match=r"settings\.yaml: cannot be read: No such file"):
        load(path)
    path.write_text("workers: 1")
    with pytest.raises(SettingsError, match=r"settings\.yaml: images: Field required"):
        load(path)


def test_what_is_read_at_the_start_only_needs_a_restart() -> None:
    old = parse(LEAST)
    same = parse(LEAST + "log: {level: debug}\nresyncInterval: 1m")
    assert needs_restart(old, same) == []
    other = parse(LEAST + "workers: 2\nwatchNamespaces: [a]")
    assert needs_restart(old, other) == ["watchNamespaces", "workers"]
