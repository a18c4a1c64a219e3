from dataclasses import replace

import pytest

from redstart.rollout.structural import (
    CanaryFacts,
    ContainerFacts,
    PodFacts,
    ReferenceRows,
    structural_failure,
)
from redstart.rollout.verdict import Outcome

DIGEST = "sha256:aaaa"
SERVER = ContainerFacts("server")
POD = PodFacts("canary-1", (ContainerFacts("fetch", terminated="Completed", exit_code=0), SERVER))
HEALTHY = CanaryFacts((POD,), DIGEST)


def with_container(container: ContainerFacts) -> CanaryFacts:
    return replace(HEALTHY, pods=(POD, PodFacts("canary-2", (container,))))


def with_pod(pod: PodFacts) -> CanaryFacts:
    return replace(HEALTHY, pods=(POD, pod))


@pytest.mark.parametrize(
    ("facts", "reason", "message"),
    [
        pytest.param(
            with_pod(
                PodFacts(
                    "canary-2",
                    (replace(SERVER, waiting="ImagePullBackOff", message='Back-off pulling "x:1"'),),
                    seconds_still=120.0,
                )
            ),
            "ImagePullFailed",
            'container server of pod canary-2 waits with ImagePullBackOff: Back-off pulling "x:1"',
            id="an image that cannot be pulled for two minutes",
        ),
        pytest.param(
            with_container(replace(SERVER, waiting="InvalidImageName")),
            "ImagePullFailed",
            "container server of pod canary-2 waits with InvalidImageName",
            id="an image name that is none",
        ),
        pytest.param(
            with_container(
                replace(SERVER, waiting="CrashLoopBackOff", last_terminated="Error", exit_code=1, restarts=2)
            ),
            "CrashLoopBackOff",
            "container server of pod canary-2 crashed 2 times, last with exit code 1",
            id="a crash loop",
        ),
        pytest.param(
            with_container(
                replace(
                    SERVER, waiting="CrashLoopBackOff", last_terminated="OOMKilled", exit_code=137, restarts=3
                )
            ),
            "OOMKilled",
            "container server of pod canary-2 ran out of memory: raise its memory limit",
            id="an OOM kill is named before the crash loop that it causes",
        ),
        pytest.param(
            with_container(replace(SERVER, last_terminated="OOMKilled", exit_code=137, restarts=1)),
            "OOMKilled",
            "container server of pod canary-2 ran out of memory: raise its memory limit",
            id="an OOM kill after which the server runs again",
        ),
        pytest.param(
            with_container(
                ContainerFacts(
                    "fetch", waiting="CrashLoopBackOff", exit_code=3, restarts=3, message="digest differs"
                )
            ),
            "ArtifactUnavailable",
            "container fetch of pod canary-2 failed 4 times: digest differs",
            id="an artifact that cannot be fetched",
        ),
        pytest.param(
            with_pod(PodFacts("canary-2", (SERVER,), loaded_digest="sha256:bbbb")),
            "WrongDigest",
            "pod canary-2 loaded sha256:bbbb, expected sha256:aaaa",
            id="another artifact than declared",
        ),
        pytest.param(
            with_pod(
                PodFacts("canary-2", (SERVER,), DIGEST, ReferenceRows(256, 3, "row 17: 1 instead of 0"))
            ),
            "ReferenceRowsMismatch",
            "pod canary-2 answers 3 of 256 reference rows otherwise than at training time: "
            "row 17: 1 instead of 0",
            id="reference rows answered wrongly",
        ),
        pytest.param(
            replace(
                with_container(
                    replace(SERVER, waiting="CreateContainerConfigError", message='secret "x" not found')
                ),
                progress_deadline_exceeded=True,
            ),
            "ProgressDeadlineExceeded",
            "the canary's pods did not become ready in time: "
            'server in canary-2: CreateContainerConfigError: secret "x" not found',
            id="never ready, with what it waits for",
        ),
        pytest.param(
            replace(HEALTHY, progress_deadline_exceeded=True),
            "ProgressDeadlineExceeded",
            "the canary's pods did not become ready in time",
            id="never ready, without a known cause",
        ),
        pytest.param(
            replace(HEALTHY, weight=20, seconds_without_host=5.0),
            "CanaryUnavailable",
            "no router has found a healthy canary host for 5s at weight 20%, while stable is healthy",
            id="no healthy host for 5 s",
        ),
    ],
)
def test_a_sign_fails_the_canary(facts: CanaryFacts, reason: str, message: str) -> None:
    verdict = structural_failure(facts)
    assert verdict is not None
    assert (verdict.outcome, verdict.reason, verdict.message) == (Outcome.FAIL, reason, message)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(HEALTHY, id="a healthy canary"),
        pytest.param(CanaryFacts((), DIGEST), id="no pod yet"),
        pytest.param(
            with_container(replace(SERVER, waiting="ContainerCreating")), id="a container being created"
        ),
        pytest.param(
            with_container(replace(SERVER, last_terminated="Error", exit_code=1, restarts=1)),
            id="a single crash",
        ),
        pytest.param(
            with_container(ContainerFacts("fetch", waiting="CrashLoopBackOff", exit_code=1, restarts=2)),
            id="a store that is away for a moment",
        ),
        pytest.param(
            with_container(ContainerFacts("fetch", terminated="Completed", exit_code=0, restarts=4)),
            id="a fetch that succeeded at last",
        ),
        pytest.param(
            with_pod(PodFacts("canary-2", (SERVER,), DIGEST, ReferenceRows(256, 0))), id="all rows right"
        ),
        pytest.param(
            with_pod(PodFacts("canary-2", (replace(SERVER, waiting="ErrImagePull"),), seconds_still=119.0)),
            id="a registry that is away for less than two minutes",
        ),
        pytest.param(
            with_container(replace(SERVER, waiting="CreateContainerConfigError")),
            id="a container that lacks what others have to bring",
        ),
        pytest.param(replace(HEALTHY, seconds_without_host=60.0), id="no host at weight 0"),
        pytest.param(replace(HEALTHY, weight=20, seconds_without_host=4.9), id="no host for less than 5 s"),
    ],
)
def test_no_sign(facts: CanaryFacts) -> None:
    assert structural_failure(facts) is None
