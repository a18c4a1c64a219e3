"""Digests: what is the same training, and what is another."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.trainer.specs import spec

from redstart.api.v1alpha1.digest import changed_fields, digest, training_fields

PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "parameters in another order are the same": (
        {"n_estimators": 200, "max_depth": 3},
        {"max_depth": 3, "n_estimators": 200},
        True,
    ),
    "a parameter that is null is not one that is absent": (
        {"n_estimators": 200},
        {"n_estimators": 200, "max_features": None},
        False,
    ),
    "one feature is not all of them": ({"max_features": 1}, {"max_features": 1.0}, False),
    "a number is not its text": ({"max_features": 1}, {"max_features": "1"}, False),
    "nulls and fractions count within a parameter too": (
        {"class_weight": {"0": 1, "1": None}},
        {"class_weight": {"0": 1}},
        False,
    ),
}


@pytest.mark.parametrize(("one", "other", "same"), PAIRS.values(), ids=PAIRS.keys())
def test_parameters(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    specs = [spec(algorithm__parameters=parameters) for parameters in (one, other)]
    trained, whole = (
        [digest(fields(each)) for each in specs]
        for fields in (training_fields, lambda each: changed_fields(each, without=frozenset()))
    )
    assert (trained[0] == trained[1]) is same
    assert (whole[0] == whole[1]) is same


OWN_TRAINER = {"image": "example.com/trainer@sha256:1", "command": ["train"], "args": ["--fast"]}

TEMPLATES: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "another image is another trainer": ({}, {"image": "example.com/trainer"}, False),
    "another command is another trainer": (OWN_TRAINER, OWN_TRAINER | {"command": ["learn"]}, False),
    "another argument is another training": (OWN_TRAINER, OWN_TRAINER | {"args": ["--slow"]}, False),
    "more memory trains the same": (
        OWN_TRAINER,
        OWN_TRAINER | {"resources": {"limits": {"memory": "1Gi"}}},
        True,
    ),
    "a toleration trains the same": ({}, {"tolerations": [{"operator": "Exists"}]}, True),
}


@pytest.mark.parametrize(("one", "other", "same"), TEMPLATES.values(), ids=TEMPLATES.keys())
def test_who_trains_is_part_of_the_input_and_where_is_not(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    trained = [digest(training_fields(spec(template=template))) for template in (one, other)]
    assert (trained[0] == trained[1]) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("https://h/a.csv?sig=1", "https://h/a.csv?sig=2", True, id="another signature"),
        pytest.param("https://h/a.csv?sig=1", "https://h/b.csv?sig=1", False, id="another path"),
        pytest.param("s3://b/a?1.csv", "s3://b/a?2.csv", False, id="a question mark in a name"),
    ],
)
def test_a_query_is_no_part_of_the_input(one: str, other: str, same: bool) -> None:
    fields = [
        digest(training_fields(spec(data={"sources": [{"uri": uri}], "target": "y"}))) for uri in (one, other)
    ]
    assert (fields[0] == fields[1]) is same


def test_elsewhere_whole_numbers_and_fractions_are_the_same_and_null_is_absent() -> None:
    assert digest({"a": 2.0, "b": None, "c": [1.0]}) == digest({"c": [1], "a": 2})


def test_how_the_files_are_written_is_part_of_the_input() -> None:
    sources: list[dict[str, Any]] = [
        {"uri": "pvc://data/rows.csv"},
        {"uri": "pvc://data/rows.csv", "format": {}},
        {"uri": "pvc://data/rows.csv", "format": {"separator": ";"}},
        {"uri": "pvc://data/rows.csv", "format": {"separator": ";", "decimal": ","}},
        {"uri": "pvc://data/rows.csv", "format": {"encoding": "cp1252"}},
    ]
    found = [digest(training_fields(spec(data__sources=[source]))) for source in sources]
    assert len(set(found)) == len(found)
