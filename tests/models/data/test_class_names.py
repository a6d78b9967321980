"""Tests of which labels are classes, and in what order classes come."""

from __future__ import annotations

from decimal import Decimal

import pytest

from models.data.class_names import class_name, in_order


def test_words_integers_and_truth_are_classes() -> None:
    values = ["  pos ", "3", 3, -1, True, "v1.5", "1.2.3", "C++", "猫", "e5"]
    assert [class_name(value) for value in values] == [
        *("pos", "3", "3", "-1", "true", "v1.5", "1.2.3", "C++", "猫", "e5")
    ]


@pytest.mark.parametrize(
    "value", ["1.0", "-.5", "1.", "1e5", "+2.5E-3", 1.0, float("nan"), Decimal(1), b"a", ["a"], {}]
)
def test_numbers_with_a_fraction_and_other_things_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="the label "):
        class_name(value)


@pytest.mark.parametrize("value", [None, "", " \t"])
def test_a_missing_label_is_called_missing(value: object) -> None:
    with pytest.raises(ValueError, match="no label"):
        class_name(value)


def test_what_cannot_be_shown_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be shown"):
        class_name("a\x1bb")
    with pytest.raises(ValueError, match="201 characters; is it the text's column"):
        class_name("a" * 201)


def test_integers_are_ordered_by_value_and_names_with_numbers_as_people_do() -> None:
    assert in_order(["10", "9", "-2", "0"]) == ("-2", "0", "9", "10")
    assert in_order(["a10", "b", "a2", "7"]) == ("7", "a2", "a10", "b")
    assert in_order({"01", "1", "x"}) == ("01", "1", "x")
