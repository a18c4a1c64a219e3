"""The objects that a service should consist of, from its traffic record. Pure.

Neither a revision nor the router is changed by a new operator alone: a revision's Deployment keeps the template that
it was made with for good, the router keeps its template and its bootstrap until the service's spec changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from redstart.api import durations
from redstart.controllers import pods
from redstart.controllers.inference_service import drift, serving
from redstart.controllers.inference_service.comparison import ignored_by
from redstart.controllers.inference_service.observe import Observed
from redstart.controllers.inference_service.record import ANNOTATION, Record, Role
from redstart.controllers.inference_service.transitions import Transition
from redstart.kube.controller import Context
from redstart.routing import pod as router
from redstart.routing.plan import Arm, TrafficPlan, beside_name

Object = dict[str, Any]

LONGEST_PROGRESS = 600
MADE_FOR_ANNOTATION = "redstart.dev/made-for"
"""The generation of the spec that a router's Deployment was made for."""
BOOTSTRAP = "bootstrap.json"


def config_map(observed: Observed, record: Record, context: Context) -> Object:
    """The router's files, with the record that they come from."""
    text = record.model_dump_json(by_alias=True, exclude_none=True)
    made = router.config_map(_plan(observed, record, context), _router_labels(observed), {ANNOTATION: text})
    if _made_for_this(observed) is not None and observed.config_map is not None:
        made["data"][BOOTSTRAP] = observed.config_map["data"].get(BOOTSTRAP, made["data"][BOOTSTRAP])
    return made


def children(observed: Observed, transition: Transition, context: Context) -> Iterable[Object]:
    """Everything but the router's ConfigMap, revisions first."""
    record = transition.record
    assert record is not None
    for role in record.revisions:
        template = _template(observed, record, role, context)
        if template is not None:
            yield from serving.children(
                observed.name,
                observed.spec.model.name,
                role,
                template,
                replicas=transition.replicas.get(role.revision, 0),
                progress_deadline=_progress_deadline(observed),
            )
    yield serving.network_policy(observed.name)
    yield from _router(observed, record, context)


def _router(observed: Observed, record: Record, context: Context) -> Iterable[Object]:
    plan, labels, settings = _plan(observed, record, context), _router_labels(observed), context.settings
    selector = {
        name: labels[name] for name in (pods.owner_label("InferenceService"), "app.kubernetes.io/component")
    }
    deployment = router.deployment(
        plan,
        labels,
        selector,
        image=settings.images.router,
        pull_policy=settings.image_pull_policy,
        replicas=settings.router.replicas,
        resources=settings.pods.resources.router.to_dict(),
    )
    present = pods.dressed(deployment["spec"]["template"], observed.spec.router, settings.pods)
    made = _made_for_this(observed)
    template = (serving.stored_template(made) if made is not None else None) or present
    deployment["spec"]["template"] = template
    deployment["metadata"]["annotations"] = {
        MADE_FOR_ANNOTATION: str(observed.generation),
        serving.TEMPLATE_ANNOTATION: json.dumps(template, sort_keys=True),
    }
    yield deployment
    yield router.service(plan, labels, selector)
    if record.rollout is not None:
        other = record.rollout.other
        labels_beside = {**labels, serving.REVISION_LABEL: other.revision}
        yield serving.headless(
            observed.name,
            other.revision,
            {"name": beside_name(observed.name), "labels": labels_beside},
        )
    yield router.network_policy(plan, labels, selector, operator_namespace=context.namespace)
    yield router.pod_disruption_budget(plan, labels, selector)


def _made_for_this(observed: Observed) -> Object | None:
    """The router's Deployment, where it was made for the spec as it is now."""
    for child in observed.children:
        if child["kind"] == "Deployment" and child["metadata"]["name"] == router.router_name(observed.name):
            made_for = child["metadata"].get("annotations", {}).get(MADE_FOR_ANNOTATION)
            return child if made_for == str(observed.generation) else None
    return None


def _plan(observed: Observed, record: Record, context: Context) -> TrafficPlan:
    other = record.rollout.other if record.rollout else None
    return TrafficPlan(
        number=record.number,
        service=observed.name,
        namespace=observed.namespace,
        stable=_arm(observed, record.stable, context),
        canary=_arm(observed, other, context) if other else None,
        weight=record.weight,
        retry_on_stable=record.traffic.retry_on_stable,
        timeout_seconds=durations.seconds(record.traffic.timeout),
        listen_on=context.settings.pods.listen_on,
    )


def _arm(observed: Observed, role: Role, context: Context) -> Arm:
    name = serving.child_name(observed.name, role.revision)
    return Arm(role.revision, f"{name}.{observed.namespace}.svc.{context.settings.cluster_domain}.")


def _router_labels(observed: Observed) -> dict[str, str]:
    return pods.labels("InferenceService", observed.name, "router")


def _progress_deadline(observed: Observed) -> int:
    return max(1, min(LONGEST_PROGRESS, int(durations.seconds(observed.spec.rollout.deadline))))


def _up_to_date(stored: Object, observed: Observed, role: Role) -> Object:
    version = observed.version_specs.get(role.version)
    if version is None:
        return stored
    secret = version.artifact.secret_ref
    timeout = durations.seconds(observed.spec.traffic.timeout)
    return drift.up_to_date(stored, secret.name if secret else None, timeout)


def _template(observed: Observed, record: Record, role: Role, context: Context) -> Object | None:
    """The pod template of a revision: the one that it was made with, where any child of it is left.

    None while it cannot be made: the version is gone, or it is not known what clients may send."""
    if (stored := serving.template_of(observed.children, role.revision)) is not None:
        return _up_to_date(stored, observed, role)
    version = observed.version_specs.get(role.version)
    ignored = ignored_by(observed, record, role)
    if version is None or ignored is None:
        return None
    settings = context.settings
    return serving.pod_template(
        observed.name,
        observed.spec,
        role,
        version.artifact,
        serving.Runtime(
            settings.images.runtime,
            settings.image_pull_policy,
            int(settings.serving.drain),
            settings.allowed_formats,
            settings.pods,
        ),
        claims=observed.claims,
        timeout=durations.seconds(observed.spec.traffic.timeout),
        ignored=ignored,
    )
