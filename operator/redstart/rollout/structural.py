"""Signs that a canary cannot serve, told by facts about its pods, without any traffic.

Each function looks for one sign and answers a failing Verdict, or None. They know no clock:
durations come in as seconds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from redstart.rollout.verdict import Outcome, Verdict

FETCH = "fetch"
# The kubelet restarts a failed fetch after 0, 10 and 20 s: a store that is away for a moment is forgiven.
FETCH_RESTARTS = 3
# One failed pull is no verdict: a registry that is away for a minute is asked again after 10, 20 and 40 s.
IMAGE_SECONDS = 120.0
# A router sees a dead host after two health checks of 1 s, and DNS answers after 1 s.
UNAVAILABLE_SECONDS = 5.0
# Reasons of the kubelet's image manager (kubernetes/pkg/kubelet/images/types.go): those that another attempt may
# mend, and those that it would not.
PULL_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"})
LASTING_IMAGE_REASONS = frozenset({"InvalidImageName", "ErrImageNeverPull", "SignatureValidationFailed"})


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One entry of a pod's containerStatuses or initContainerStatuses.

    waiting and terminated are the reasons of the current state, last_terminated that of lastState;
    message belongs to whichever of them is newest.
    """

    name: str
    waiting: str = ""
    terminated: str = ""
    last_terminated: str = ""
    exit_code: int | None = None
    restarts: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class ReferenceRows:
    """The server's own check of its artifact's reference rows, before it is ready."""

    rows: int
    mismatched: int
    first: str = ""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod of the canary. Leave out pods that are being deleted or were evicted: no fault of the canary.

    containers are those that the canary consists of, without what others inject. loaded_digest and reference are
    what its server reports, None while it has not reported. seconds_still: for so long no container of it has
    started or ended, since its node could start one.
    """

    name: str
    containers: tuple[ContainerFacts, ...] = ()
    loaded_digest: str | None = None
    reference: ReferenceRows | None = None
    seconds_still: float = 0.0


@dataclass(frozen=True, slots=True)
class CanaryFacts:
    """What is known of the canary apart from its traffic.

    progress_deadline_exceeded: its Deployment says so, and a pod of it has run for as long without becoming ready;
    time that a pod waited to be made, for a node or for its volumes is no fault of the canary.
    seconds_without_host: for so long every router has found a healthy host of stable and none of the canary; else 0.
    """

    pods: tuple[PodFacts, ...]
    artifact_digest: str
    progress_deadline_exceeded: bool = False
    weight: int = 0
    seconds_without_host: float = 0.0


def image_pull_failed(facts: CanaryFacts) -> Verdict | None:
    for pod, container in _containers(facts):
        lasting = container.waiting in LASTING_IMAGE_REASONS
        if lasting or (container.waiting in PULL_REASONS and pod.seconds_still >= IMAGE_SECONDS):
            return _fail("ImagePullFailed", pod, container, f"waits with {container.waiting}")
    return None


def out_of_memory(facts: CanaryFacts) -> Verdict | None:
    for pod, container in _containers(facts):
        if "OOMKilled" in (container.terminated, container.last_terminated):
            return _fail("OOMKilled", pod, container, "ran out of memory: raise its memory limit")
    return None


def artifact_unavailable(facts: CanaryFacts) -> Verdict | None:
    for pod, container in _containers(facts):
        if container.name == FETCH and container.exit_code and container.restarts >= FETCH_RESTARTS:
            return _fail("ArtifactUnavailable", pod, container, f"failed {container.restarts + 1} times")
    return None


def crash_loop(facts: CanaryFacts) -> Verdict | None:
    for pod, container in _containers(facts):
        if container.waiting == "CrashLoopBackOff" and container.name != FETCH:
            code = "" if container.exit_code is None else f", last with exit code {container.exit_code}"
            return _fail("CrashLoopBackOff", pod, container, f"crashed {container.restarts} times{code}")
    return None


def wrong_digest(facts: CanaryFacts) -> Verdict | None:
    for pod in facts.pods:
        if pod.loaded_digest is not None and pod.loaded_digest != facts.artifact_digest:
            return Verdict(
                Outcome.FAIL,
                "WrongDigest",
                f"pod {pod.name} loaded {pod.loaded_digest}, expected {facts.artifact_digest}",
            )
    return None


def reference_rows_mismatch(facts: CanaryFacts) -> Verdict | None:
    for pod in facts.pods:
        if pod.reference is not None and pod.reference.mismatched:
            return Verdict(
                Outcome.FAIL,
                "ReferenceRowsMismatch",
                _with(
                    f"pod {pod.name} answers {pod.reference.mismatched} of {pod.reference.rows} reference rows "
                    "otherwise than at training time",
                    pod.reference.first,
                ),
            )
    return None


def progress_deadline_exceeded(facts: CanaryFacts) -> Verdict | None:
    if not facts.progress_deadline_exceeded:
        return None
    waiting = [
        _with(f"{container.name} in {pod.name}: {container.waiting}", container.message)
        for pod, container in _containers(facts)
        if container.waiting
    ]
    return Verdict(
        Outcome.FAIL,
        "ProgressDeadlineExceeded",
        _with("the canary's pods did not become ready in time", "; ".join(waiting)),
    )


def canary_unavailable(facts: CanaryFacts) -> Verdict | None:
    if facts.weight == 0 or facts.seconds_without_host < UNAVAILABLE_SECONDS:
        return None
    return Verdict(
        Outcome.FAIL,
        "CanaryUnavailable",
        f"no router has found a healthy canary host for {facts.seconds_without_host:.0f}s "
        f"at weight {facts.weight}%, while stable is healthy",
    )


# The cause before its consequences: a container out of memory crash-loops, and then no host is healthy.
SIGNS: tuple[Callable[[CanaryFacts], Verdict | None], ...] = (
    image_pull_failed,
    out_of_memory,
    artifact_unavailable,
    crash_loop,
    wrong_digest,
    reference_rows_mismatch,
    progress_deadline_exceeded,
    canary_unavailable,
)


def structural_failure(facts: CanaryFacts) -> Verdict | None:
    """The first sign that the canary cannot serve; None while there is none."""
    return next((verdict for sign in SIGNS if (verdict := sign(facts)) is not None), None)


def _containers(facts: CanaryFacts) -> Iterator[tuple[PodFacts, ContainerFacts]]:
    return ((pod, container) for pod in facts.pods for container in pod.containers)


def _fail(reason: str, pod: PodFacts, container: ContainerFacts, what: str) -> Verdict:
    message = _with(f"container {container.name} of pod {pod.name} {what}", container.message)
    return Verdict(Outcome.FAIL, reason, message)


def _with(sentence: str, detail: str) -> str:
    return f"{sentence}: {detail}" if detail else sentence
