"""When an apply would change nothing, decided from the fields that the server says are ours."""

import copy
from typing import Any

import pytest

from redstart.kube.kinds import Object
from redstart.kube.ownership import (
    APPLIED_ANNOTATION,
    is_applied,
    is_ours,
    is_reported,
    owns,
    prepared,
    without_nulls,
)

OWNER: Object = {
    "apiVersion": "redstart.dev/v1alpha1",
    "kind": "ModelVersion",
    "metadata": {"name": "m", "namespace": "default", "uid": "1"},
}
DESIRED: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child"}, "data": {"a": "1"}}


def managed(fields: Object, **entry: str) -> Object:
    return {"manager": "redstart", "operation": "Apply", "fieldsV1": fields} | entry


def applied(content: Object) -> Object:
    """The object as the server holds it after `content` was applied."""
    live = copy.deepcopy(content)
    live["metadata"] |= {"uid": "2", "resourceVersion": "5"}
    fields = {
        "f:metadata": {
            "f:annotations": {f"f:{APPLIED_ANNOTATION}": {}},
            "f:labels": {"f:app.kubernetes.io/managed-by": {}},
            "f:ownerReferences": {'k:{"uid":"1"}': {}},
        },
        "f:data": {"f:a": {}},
    }
    live["metadata"]["managedFields"] = [managed(fields)]
    return live


def take(fields: Object, path: tuple[str, ...]) -> None:
    """Remove a field from the set, and the sets that this leaves empty, as the server does."""
    if len(path) > 1:
        take(fields[path[0]], path[1:])
    if len(path) == 1 or not fields[path[0]]:
        del fields[path[0]]


def test_what_was_applied_and_is_still_ours_is_applied() -> None:
    content = prepared(DESIRED, OWNER)
    assert is_applied(content, applied(content))


def test_other_content_is_not() -> None:
    live = applied(prepared(DESIRED, OWNER))
    assert not is_applied(prepared(DESIRED | {"data": {"a": "2"}}, OWNER), live)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(("f:data", "f:a"), id="a value"),
        pytest.param(("f:data",), id="a whole map"),
        pytest.param(("f:metadata", "f:labels"), id="the labels"),
        pytest.param(("f:metadata", "f:ownerReferences"), id="the owner"),
        pytest.param(("f:metadata", "f:annotations", f"f:{APPLIED_ANNOTATION}"), id="the hash"),
    ],
)
def test_it_is_not_when_somebody_took(path: tuple[str, ...]) -> None:
    content = prepared(DESIRED, OWNER)
    live = applied(content)
    take(live["metadata"]["managedFields"][0]["fieldsV1"], path)
    assert not is_applied(content, live)


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([], id="nobody manages anything"),
        pytest.param([managed({}, manager="kubectl")], id="somebody else applied"),
        pytest.param([managed({}, operation="Update")], id="we updated"),
        pytest.param([managed({}, subresource="status")], id="we applied the status"),
    ],
)
def test_it_is_not_when(entries: list[Object]) -> None:
    content = prepared(DESIRED, OWNER)
    live = applied(content)
    live["metadata"]["managedFields"] = entries
    assert not is_applied(content, live)


@pytest.mark.parametrize(
    ("fields", "value", "owned"),
    [
        pytest.param({"f:a": {}}, {"a": 1}, True, id="a scalar"),
        pytest.param({"f:a": {}}, {"a": {"b": [1]}}, True, id="a map or list owned as a whole"),
        pytest.param({"f:a": {"f:b": {}}}, {"a": {"c": 1}}, False, id="another field of the map"),
        pytest.param({"f:a": {"f:b": {}}}, {"a": {}}, True, id="an empty map"),
        pytest.param(
            {'k:{"name":"x"}': {".": {}, "f:image": {}, "f:name": {}}}, [{"name": "x", "image": "i"}], True,
            id="an entry of a list with keys",
        ),
        pytest.param(
            {'k:{"name":"x"}': {".": {}, "f:name": {}}}, [{"name": "x", "image": "i"}], False,
            id="an entry of which a field was taken",
        ),
        pytest.param({'k:{"name":"x"}': {}}, [{"name": "y"}], False, id="an entry that was removed"),
        pytest.param(
            {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}, [{"containerPort": 80}],
            True, id="a key that the server filled in",
        ),
        pytest.param({'v:"x"': {}}, ["x"], True, id="a member of a set"),
        pytest.param({'v:"x"': {}}, ["x", "y"], False, id="a member that was removed"),
    ],
)  # fmt: skip
def test_owned_are(fields: Object, value: Any, owned: bool) -> None:
    assert owns(fields, value) is owned


def test_null_is_absent() -> None:
    assert without_nulls({"a": None, "b": [{"c": None}], "d": ({"e": 0},)}) == {"b": [{}], "d": [{"e": 0}]}


def test_what_is_sent_leaves_what_was_given_as_it_was() -> None:
    before = copy.deepcopy(DESIRED)
    content = prepared(DESIRED, OWNER)
    assert before == DESIRED
    assert content["metadata"]["namespace"] == "default"
    assert content["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "redstart"}
    assert content["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "redstart.dev/v1alpha1",
            "kind": "ModelVersion",
            "name": "m",
            "uid": "1",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_the_hash_does_not_depend_on_the_order_of_fields() -> None:
    one, other = {**DESIRED, "data": {"a": "1", "b": "2"}}, {**DESIRED, "data": {"b": "2", "a": "1"}}
    assert prepared(one, OWNER) == prepared(other, OWNER)


@pytest.mark.parametrize(
    ("metadata", "owner", "ours"),
    [
        pytest.param({"ownerReferences": [{"uid": "1", "controller": True}]}, OWNER, True, id="our owner"),
        pytest.param(
            {"ownerReferences": [{"uid": "9", "controller": True}]}, OWNER, False, id="another owner"
        ),
        pytest.param({"ownerReferences": [{"uid": "1"}]}, OWNER, False, id="an owner that controls nothing"),
        pytest.param(
            {"labels": {"app.kubernetes.io/managed-by": "redstart"}}, OWNER, False, id="a label only"
        ),
        pytest.param(
            {"labels": {"app.kubernetes.io/managed-by": "redstart"}}, None, True, id="no owner, our label"
        ),
        pytest.param({}, None, False, id="no owner, no label"),
    ],
)
def test_whose_it_is(metadata: Object, owner: Object | None, ours: bool) -> None:
    assert is_ours({"metadata": metadata}, owner) is ours


READY = {"type": "Ready", "status": "True"}
FIELDS: Object = {
    "f:status": {
        "f:phase": {},
        "f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:type": {}, "f:status": {}}},
        "f:history": {},
        "f:run": {"f:number": {}},
    }
}
STATUS: Object = {"phase": "Ready", "conditions": [READY], "history": [{"n": 1}], "run": {"number": 1}}


@pytest.mark.parametrize(
    ("change", "live_change", "same"),
    [
        pytest.param({}, {}, True, id="the same"),
        pytest.param({"phase": "Failed"}, {}, False, id="another value"),
        pytest.param({"phase": None}, {}, False, id="a field dropped"),
        pytest.param({"run": {}}, {}, False, id="a nested field dropped"),
        pytest.param({"new": 1}, {}, False, id="a field more"),
        pytest.param({"conditions": []}, {}, False, id="a condition dropped"),
        pytest.param({"history": []}, {}, False, id="an entry dropped"),
        pytest.param({"history": [{"n": 1}, {"n": 2}]}, {}, False, id="an entry more"),
        pytest.param({"history": [{}]}, {}, False, id="a field of an entry dropped"),
        pytest.param({"run": {"number": 1.0}}, {}, True, id="the same number written otherwise"),
        pytest.param({"run": {"number": True}}, {}, False, id="true is not one"),
        pytest.param({}, {"observedGeneration": -1}, True, id="a default of the schema's"),
        pytest.param({}, {"run": {"number": 1, "attempt": 0}}, True, id="a nested default of the schema's"),
        pytest.param(
            {}, {"conditions": [{"type": "Theirs", "status": "True"}, READY]}, True,
            id="a condition of somebody else's, first in the list",
        ),
    ],
)  # fmt: skip
def test_a_status_is_reported(change: Object, live_change: Object, same: bool) -> None:
    live = {
        "metadata": {"managedFields": [managed(FIELDS, subresource="status")]},
        "status": STATUS | live_change,
    }
    assert is_reported(without_nulls(STATUS | change), live) is same


def test_a_status_that_was_never_applied_is_not_reported() -> None:
    assert not is_reported({"observedGeneration": 1}, {"metadata": {}, "status": {"observedGeneration": -1}})
    assert not is_reported({"phase": "Ready"}, {"metadata": {}})
