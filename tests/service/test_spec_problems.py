"""From pydantic's errors to paths and words that users know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.problem import FieldProblem, Problem, shown
from service.spec import SearchSpec
from service.spec_problems import problem_of_spec

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.json"


def problem_of(**changes: Any) -> Problem:
    spec = json.loads(EXAMPLE.read_text(encoding="utf-8")) | changes
    with pytest.raises(ValidationError) as caught:
        SearchSpec.model_validate(
            {key: value for key, value in spec.items() if value != "left out"}
        )
    return problem_of_spec(caught.value)


def only_field(**changes: Any) -> FieldProblem:
    errors = problem_of(**changes).errors
    assert len(errors) == 1
    return errors[0]


def test_every_bad_field_is_named_by_the_path_that_users_wrote() -> None:
    optimizer = {"kind": "genetic", "population_size": "many"}
    dataset = {"kind": "digits", "classes": [5, 6], "train_size": -1}
    problem = problem_of(optimizer=optimizer, dataset=dataset, seed=-1)
    fields = {error.field for error in problem.errors}
    assert {
        "optimizer.population_size",
        "dataset.train_size",
        "seed",
    } == fields
    assert problem.status == 422


def test_of_very_many_errors_the_first_are_named_and_the_rest_counted() -> None:
    problem = problem_of(**{f"key{number}": number for number in range(50_000)})
    assert [error.field for error in problem.errors] == [f"key{number}" for number in range(100)]
    assert problem.detail.startswith("100 fields are wrong: key0, ")
    assert problem.detail.endswith(", key99, and 49900 more errors")


def test_an_unknown_plugin_comes_with_the_known_names() -> None:
    problem = problem_of(optimizer={"kind": "anealing"})
    assert problem.code == "unknown_plugin"
    assert problem.errors[0].field == "optimizer.kind"
    assert problem.errors[0].given == "anealing"
    assert "annealing, " in problem.errors[0].expected
    assert "did you mean 'annealing'?" in problem.errors[0].expected


def test_data_of_the_source_task_are_named_by_their_path() -> None:
    retention = {"weight": 0.5, "dataset": {"kind": "digits", "train_size": -1}}
    field = only_field(fitness={"source_retention": retention})
    assert field.field == "fitness.source_retention.dataset.train_size"


def test_an_unknown_metric_comes_with_the_known_ones() -> None:
    field = only_field(fitness={"metric": "macro_f2"})
    assert field.field == "fitness.metric"
    assert "macro_f1" in field.expected
    assert "did you mean 'macro_f1'?" in field.expected


def test_a_family_with_one_plugin_answers_alike() -> None:
    problem = problem_of(execution={"kind": "cluster"})
    assert (problem.code, problem.errors[0].field) == ("unknown_plugin", "execution.kind")
    assert problem.errors[0].expected == "one of: local"


def test_a_block_without_a_kind_is_told_which_there_are() -> None:
    error = only_field(optimizer={"population_size": 8})
    assert (error.field, error.given) == ("optimizer.kind", None)
    assert "genetic" in error.expected


@pytest.mark.parametrize(
    ("changes", "field", "suggestion"),
    [
        ({"optimiser": {"kind": "genetic"}}, "optimiser", "optimizer"),
        ({"budget": {"evaluation": 5}}, "budget.evaluation", "evaluations"),
        (
            {"optimizer": {"kind": "genetic", "populaton_size": 8}},
            "optimizer.populaton_size",
            "population_size",
        ),
    ],
)
def test_a_misspelt_key_comes_with_the_nearest_known_one(
    changes: dict[str, Any], field: str, suggestion: str
) -> None:
    error = only_field(**changes)
    assert error.field == field
    assert f"did you mean '{suggestion}'?" in error.expected


def test_a_missing_block_is_named() -> None:
    error = only_field(dataset="left out")
    assert (error.field, error.given) == ("dataset", None)


def test_nested_plugins_are_found_too() -> None:
    source = {"kind": "pretrain", "dataset": {"kind": "digitz"}}
    assert problem_of(source=source).errors[0].field == "source.dataset.kind"


def test_a_list_is_not_too_short_because_an_item_of_it_is_wrong() -> None:
    errors = problem_of(finetune={"kind": "phases", "phases": [{"kind": "fill"}]}).errors
    assert [error.field for error in errors] == ["finetune.phases.0.kind"]
    empty = only_field(finetune={"kind": "phases", "phases": []})
    assert (empty.field, empty.expected) == ("finetune.phases", "a list of at least 1")


def test_a_value_of_the_wrong_shape_is_asked_for_in_json_words() -> None:
    assert only_field(dataset=3).expected == "a JSON object"


def test_members_of_a_union_complain_once() -> None:
    errors = problem_of(plan="fastest").errors
    assert [error.field for error in errors] == ["plan"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (10**30, 10**30),
        (float("nan"), "nan"),
        ("\ud800", "\\ud800"),
        ({"a": [1]}, '{"a": [1]}'),
        ({"a": object}, "{'a': <class 'object'>}"),
    ],
)
def test_whatever_was_given_fits_into_json(value: object, expected: object) -> None:
    assert shown(value) == expected


def test_long_values_are_cut() -> None:
    assert len(str(shown("x" * 10_000))) == 200
