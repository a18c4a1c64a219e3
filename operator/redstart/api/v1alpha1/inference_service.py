"""InferenceService: serves a model version, and brings in the next one by canary."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from redstart.api.v1alpha1.common import (
    Conditioned,
    Digest,
    Duration,
    Metric,
    Model,
    ModelName,
    Name,
    Number,
    PodTemplate,
    PositiveDuration,
    Resources,
    RouterTemplate,
    ShortText,
    Status,
    Text,
    Timestamp,
    rules,
)

Phase = Literal["Pending", "Serving", "Canary", "RolledBack", "Degraded", "Stopped"]
RevisionHash = Annotated[str, StringConstraints(max_length=16, pattern=r"^[0-9a-z]+$")]


class ModelReference(Model):
    """Which version is served."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(has(self.version) && has(self.follow))",
                "model: give version to pin one, or follow to take new ones, not both",
            ),
            (
                "self.name == oldSelf.name",
                "model.name is immutable: serve another model by another InferenceService",
            ),
        )
    )

    name: ModelName
    """The model."""
    version: Name | None = None
    """A ModelVersion by name: pinned, as GitOps wants it."""
    follow: Literal["Approved"] | None = None
    """Approved: the newest version above the serving one's number that is verified, passed its gates and was not
    rolled back here. The default where no version is pinned."""


class Predictor(Model):
    """The pods that serve."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.resources) || !has(self.template) || !has(self.template.resources)",
                "predictor.resources: template.resources says the same of the same container; give one of them",
            )
        )
    )

    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Number of serving pods; 0 stops the service."""
    resources: Resources | None = None
    """CPU and memory of the server. What is not named here comes from the operator's settings."""
    template: PodTemplate = PodTemplate()
    """Changes to the serving pod. A change is a new revision and goes through the rollout."""


class Step(Model):
    """One step of a canary."""

    weight: Annotated[int, Field(ge=1, le=99)]
    """Percent of requests that go to the canary."""
    hold: Duration = "30s"
    """The least time at this weight."""


class ErrorRate(Model):
    """Rate of failed first attempts: 5xx, timeouts, broken connections."""

    max_increase: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """How much higher than stable's the canary's error rate may be, as a share: 0.01 is one point of a hundred."""


class Analysis(Model):
    """What is compared between canary and stable."""

    error_rate: ErrorRate = ErrorRate()
    """Rate of failed first attempts."""


class Rollout(Model):
    """How a new revision comes in."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.steps) || (self.steps.map(s, s.weight).isSorted() && "
                "self.steps.all(s, self.steps.exists_one(t, t.weight == s.weight)))",
                "rollout.steps: weights must rise from step to step",
            ),
            (
                "!has(self.steps) || "
                "self.steps.map(s, duration(has(s.hold) ? s.hold : '30s')).sum() < "
                "duration(has(self.deadline) ? self.deadline : '30m')",
                "rollout.deadline must be longer than the holds of all steps together",
            ),
        )
    )

    strategy: Literal["Canary"] = "Canary"
    """Canary: a share of the requests, in steps."""
    steps: Annotated[list[Step], Field(min_length=1, max_length=20)] = [
        Step(weight=5),
        Step(weight=25),
        Step(weight=50),
    ]
    """Weights, rising, 1 to 99; after the last the new revision is promoted."""
    analysis: Analysis = Analysis()
    """What is compared between canary and stable."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.99
    """A healthy canary is rolled back with a probability of at most 1 - confidence over the whole rollout."""
    promotion_confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """A canary that is worse than allowed passes with a probability of at most 1 - promotionConfidence."""
    min_samples: Annotated[int, Field(ge=1, le=1000000)] = 200
    """Weighted first attempts on the canary in a step before it may end; never delays a rollback."""
    deadline: PositiveDuration = "30m"
    """Time from the first weight to a decision, without time spent paused or without metrics."""
    on_inconclusive: Literal["Hold", "Promote", "Rollback"] = "Hold"
    """What happens at the deadline when the evidence suffices for neither."""
    on_new_version: Literal["Supersede", "Finish"] = "Supersede"
    """What a newer version does that comes, by follow, during a rollout: supersede it, or wait until it has ended.
    Acts at once."""
    paused: bool = False
    """Keeps the weight as it is; failures are still acted on."""


class Traffic(Model):
    """How requests are routed."""

    retry_on_stable: bool = True
    """A request that fails on the canary is answered by stable before the client sees it."""
    timeout: PositiveDuration = "10s"
    """The longest that a request may take, retries included."""


class InferenceServiceSpec(Model):
    """What to serve and how the next version comes in."""

    model: ModelReference
    """Which version is served."""
    predictor: Predictor = Predictor()
    """The pods that serve."""
    router: RouterTemplate = RouterTemplate()
    """Changes to the router's pods, which follow in a rolling update."""
    rollout: Rollout = Rollout()
    """How a new revision comes in. A rollout keeps the policy that it started with; paused and onNewVersion act at
    once."""
    traffic: Traffic = Traffic()
    """How requests are routed."""


class StableStatus(Status):
    """The revision that serves."""

    version: Name
    """Its ModelVersion."""
    revision: RevisionHash
    """Its revision: artifact, pod template and runtime image."""
    ready_replicas: int = 0
    """Pods that are ready."""
    desired_replicas: int = 0
    """Pods that there should be."""
    loaded_digest: Digest | None = None
    """The digest that every one of its pods reports as loaded."""


class CanaryStatus(StableStatus):
    """The revision that is coming in."""

    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """Percent of requests that every router sends it, as read back from the routers."""
    step: int = 0
    """The step, from 1; 0 before the first weight."""
    steps: int = 0
    """How many steps there are."""
    since: Timestamp | None = None
    """When the step began."""
    rollout: Annotated[str, StringConstraints(max_length=64)]
    """Identifies this rollout; a rollout once decided never gets weight again."""
    started_at: Timestamp | None = None
    """When the rollout began."""
    first_weight_at: Timestamp | None = None
    """When it got its first weight."""
    active_seconds: Number = 0.0
    """Time since the first weight without what was spent paused or without metrics, in seconds."""
    test: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """The statistical test's state, as JSON, from which a restarted operator goes on."""
    policy: Rollout
    """The rollout policy as it was at the start."""


class AnalysisStatus(Status):
    """One metric and the evidence as it stands."""

    metric: Metric
    """The metric."""
    canary: Number | None = None
    """The canary's value."""
    stable: Number | None = None
    """Stable's value over the same seconds."""
    allowed: Number
    """The increase that is allowed."""
    evidence: Number
    """E-value against a healthy canary: it fails when this reaches needed."""
    needed: Number
    """1 / (1 - confidence)."""
    pass_evidence: Number
    """E-value for the canary: it passes when this reaches passNeeded."""
    pass_needed: Number
    """1 / (1 - promotionConfidence)."""
    samples: int
    """Weighted first attempts on the canary in this rollout."""
    verdict: Literal["Pass", "Fail", "Undecided", "Acceptable"]
    """What the evidence says."""
    message: Text = ""
    """The evidence in a sentence."""


class LastError(Status):
    """The last words of a canary that was rolled back. What its error said is in its log alone, as that may hold a
    value of a row."""

    pod: Name
    """The pod that said so."""
    status: int | None = None
    """HTTP status of the last weighted first attempt that it did not answer."""
    field: Text | None = None
    """The input at fault, where a refusal named one."""
    error: ShortText | None = None
    """The kind of error, and where it was raised."""
    log: Text | None = None
    """The last line that a container of it left when it ended."""


class RolloutRecord(Status):
    """A rollout that has ended."""

    id: Annotated[str, StringConstraints(max_length=64)]
    """Identifies it."""
    from_version: Annotated[Name | None, Field(alias="from")] = None
    """The version that served."""
    to: Name
    """The version that came in."""
    revision: RevisionHash
    """Its revision."""
    result: Literal["Promoted", "RolledBack", "Superseded"]
    """What came of it."""
    reason: ShortText
    """Why, in one word."""
    message: Text
    """Why, in a sentence."""
    evidence: Annotated[list[AnalysisStatus], Field(max_length=8)] = []
    """The evidence that decided."""
    last_error: LastError | None = None
    """Of one that was rolled back: what its canary said last."""
    started_at: Timestamp
    """When it began."""
    decided_at: Timestamp
    """When it was decided."""


class Quarantined(Status):
    """A revision that was rolled back here and is not tried again."""

    revision: RevisionHash
    """The revision."""
    version: Name
    """Its ModelVersion."""
    reason: ShortText
    """Why, in one word."""
    message: Text = ""
    """Why, in a sentence."""
    at: Timestamp
    """When."""


class InferenceServiceStatus(Conditioned):
    """What the operator has seen and done."""

    phase: Phase | None = None
    """A summary of the conditions."""
    url: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Where clients send requests inside the cluster."""
    replicas: int = 0
    """Serving pods in all."""
    selector: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Selects the serving pods, for kubectl scale."""
    stable: StableStatus | None = None
    """The revision that serves."""
    canary: CanaryStatus | None = None
    """The revision that is coming in."""
    analysis: Annotated[list[AnalysisStatus], Field(max_length=8)] = []
    """One line per metric: the evidence as it stands, written on a change of verdict and every 10 s at most."""
    rollouts: Annotated[list[RolloutRecord], Field(max_length=10)] = []
    """The last rollouts, newest first."""
    quarantine: Annotated[list[Quarantined], Field(max_length=20)] = []
    """Revisions that were rolled back here, newest first."""


class InferenceService(Model):
    """Serves a model version behind a router, and brings in the next one by canary with automatic rollback."""

    spec: InferenceServiceSpec
    """What to serve and how the next version comes in."""
    status: InferenceServiceStatus | None = None
    """What the operator has seen and done. Written by the operator only."""
