"""Which revision should serve."""

from __future__ import annotations

import pytest
from tests.unit.controllers.inference_service.builders import IMAGE, START, revision, spec, version

from redstart.api.v1alpha1.inference_service import Quarantined
from redstart.controllers.inference_service.revision import Serving, Target, content, revision_of, target


def found(service=None, versions=(), existing=(), number=0, quarantined=(), finishing=None) -> Target:
    return target(
        service or spec(),
        versions,
        existing=existing,
        serving=Serving(f"m-v{number}", number) if number else None,
        finishing=finishing,
        quarantined=[
            Quarantined(revision=name, version="m-v2", reason="ErrorRate", message="canary 20%", at=START)
            for name in quarantined
        ],
        runtime_image=IMAGE,
    )


PINNED = spec(model={"name": "m", "version": "m-v2"})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(
            found(versions=[version(1), version(2)]), "m-v2", id="the newest ready version is followed"
        ),
        pytest.param(
            found(versions=[version(1), version(2, "Waiting")]), "m-v1", id="one that is not verified is not"
        ),
        pytest.param(
            found(versions=[version(1), version(2)], quarantined=[revision(2).name]),
            "m-v1",
            id="one that was rolled back here is not",
        ),
        pytest.param(
            found(versions=[version(1)], existing=[revision(3).name], number=3),
            None,
            id="an older version than the serving one is never followed",
        ),
        pytest.param(
            found(
                versions=[version(1), version(2), version(3)],
                existing=[revision(1).name, revision(2).name],
                number=1,
                finishing=revision(2).name,
            ),
            "m-v2",
            id="a newer version waits for the rollout that is to finish first",
        ),
        pytest.param(
            found(
                versions=[version(1), version(2, "Rejected"), version(3)],
                existing=[revision(1).name, revision(2).name],
                number=1,
                finishing=revision(2).name,
            ),
            "m-v3",
            id="not for a canary that was rejected meanwhile",
        ),
        pytest.param(
            found(
                PINNED.model_copy(update={"model": PINNED.model.model_copy(update={"version": "m-v3"})}),
                [version(1), version(2), version(3)],
                existing=[revision(1).name, revision(2).name],
                number=1,
                finishing=revision(2).name,
            ),
            "m-v3",
            id="a version that is pinned waits for no rollout",
        ),
        pytest.param(found(PINNED, [version(1), version(2)]), "m-v2", id="a pinned version is served"),
        pytest.param(found(PINNED, [version(1)]), None, id="a pinned version that is missing is waited for"),
        pytest.param(
            found(PINNED, [version(2, "Rejected")]), None, id="a pinned version that is rejected blocks"
        ),
    ],
)
def test_target(asked: Target, expected: str | None):
    assert (asked.revision.version.name if asked.revision else None) == expected


def test_a_pinned_version_that_was_rolled_back_says_what_to_do():
    blocked = found(PINNED, [version(2)], quarantined=[revision(2, PINNED).name])
    assert blocked.blocked
    assert blocked.reason == "CanaryRolledBack"
    assert "serve another version or change the pod template" in blocked.message
    assert blocked.message.endswith("It was rolled back for ErrorRate: canary 20%")


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        pytest.param(
            found(versions=[]),
            "WaitingForVersion: model m has no ModelVersion in this namespace yet; a TrainingJob makes one",
            id="nothing serves, and there is no version",
        ),
        pytest.param(
            found(versions=[version(1, "Rejected", "f1 0.4 < 0.5")]),
            "WaitingForVersion: no version is fit to serve; m-v1: f1 0.4 < 0.5",
            id="nothing serves, and none is fit to",
        ),
        pytest.param(
            found(versions=[version(1)], number=2),
            "VersionDeleted: m-v2 serves on, and its ModelVersion was deleted; m-v1 is older and is not taken by "
            "itself: pin it by spec.model.version to go back, or train another",
            id="what serves was deleted, and what is left is older",
        ),
        pytest.param(
            found(versions=[], number=2),
            "VersionDeleted: m-v2 serves on, and its ModelVersion was deleted; there is no other: train one",
            id="what serves was deleted, and nothing is left",
        ),
        pytest.param(
            found(versions=[version(1), version(2, "Waiting", "the artifact is being verified")], number=2),
            "WaitingForVersion: m-v2 is not fit to serve: the artifact is being verified",
            id="what serves is verified again",
        ),
    ],
)
def test_why_no_version_is_taken(asked: Target, want: str):
    assert asked.revision is None
    assert f"{asked.reason}: {asked.message}" == want


def test_a_pod_template_that_was_rolled_back_blocks_also_where_versions_are_followed():
    changed = spec(predictor={"template": {"env": [{"name": "A", "value": "b"}]}})
    blocked = found(
        changed,
        [version(1)],
        existing=[revision(1).name],
        number=1,
        quarantined=[revision(1, changed).name],
    )
    assert (blocked.reason, blocked.blocked) == ("CanaryRolledBack", True)


def test_a_missing_version_is_told_with_those_there_are():
    message = found(PINNED, [version(1), version(3)]).message
    assert "m-v2" in message
    assert "m-v1, m-v3" in message


def test_an_upgrade_of_the_operator_alone_starts_no_rollout():
    old = revision(1, image="redstart-runtime:0")
    assert revision(1).name != old.name
    kept = found(versions=[version(1)], existing=[old.name], number=1)
    assert kept.revision is not None
    assert kept.revision.name == old.name


def test_an_upgrade_of_the_operator_alone_ends_no_rollout():
    canary = revision(2, image="redstart-runtime:0")
    kept = found(versions=[version(1), version(2)], existing=[revision(1).name, canary.name], number=1)
    assert kept.revision is not None
    assert kept.revision.name == canary.name


def test_an_upgrade_of_the_operator_lifts_no_quarantine():
    old = revision_of(version(2), PINNED, "redstart-runtime:0")
    assert found(PINNED, [version(2)], quarantined=[old.name]).reason == "CanaryRolledBack"


def test_more_memory_is_a_new_revision_and_may_try_again():
    more = spec(
        model={"name": "m", "version": "m-v2"}, predictor={"resources": {"limits": {"memory": "2Gi"}}}
    )
    assert content(revision(2, more).name) != content(revision(2, PINNED).name)
    assert found(more, [version(2)], quarantined=[revision(2, PINNED).name]).revision is not None


def test_replicas_and_traffic_are_no_part_of_a_revision():
    other = spec(predictor={"replicas": 7}, traffic={"timeout": "3s"})
    assert revision(1, other).name == revision(1).name
