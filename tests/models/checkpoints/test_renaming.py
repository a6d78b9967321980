"""Tests of the user's own renaming."""

from __future__ import annotations

import time

import pytest

from models.checkpoints.renaming import captured, check_rename, filled, renamed
from search.errors import InvalidInputError

NAMES = ["encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "head.weight"]


@pytest.mark.parametrize(
    ("pattern", "name", "parts"),
    [
        ("a.b", "a.b", []),
        ("a.b", "a.bc", None),
        ("*", "a.b", ["a.b"]),
        ("a.*", "a.b.c", ["b.c"]),
        ("a.*", "a.", [""]),
        ("*.*", "a.b.c", ["a", "b.c"]),
        ("*.weight", "a.weight.weight", ["a.weight"]),
        ("l*.n*.w", "l1.l2.n3.w", ["1.l2", "3"]),
        ("ab*ba", "aba", None),
        ("a*b*c", "acb", None),
        ("a[0]?", "a[0]?", []),
        ("a[0]?", "a0b", None),
    ],
)
def test_a_star_is_any_text_the_shortest_that_fits(
    pattern: str, name: str, parts: list[str] | None
) -> None:
    assert captured(pattern, name) == parts
    if parts is not None:
        assert filled(pattern, parts) == name


def test_no_pattern_is_slow() -> None:
    started = time.process_time()
    assert captured("*a" * 30 + "b", "a" * 1000) is None
    assert time.process_time() - started < 0.1


def test_parts_are_put_back_in_order() -> None:
    rename = {"encoder.*.w*": "bert.layer.*.W*", "head.weight": "classifier.weight"}
    assert renamed(NAMES, rename, "source.rename") == {
        "encoder.0.weight": "bert.layer.0.Weight",
        "encoder.1.weight": "bert.layer.1.Weight",
        "head.weight": "classifier.weight",
    }


def test_a_name_without_a_star_goes_before_a_pattern_whatever_the_order() -> None:
    rename = {"encoder.*": "body.*", "encoder.0.bias": "offset"}
    expected = renamed(NAMES, rename, "source.rename")
    assert expected["encoder.0.bias"] == "offset"
    assert renamed(NAMES, dict(reversed(rename.items())), "source.rename") == expected


def test_two_patterns_for_one_name_are_refused_whatever_the_order() -> None:
    with pytest.raises(
        InvalidInputError, match=r"source\.rename: .*'encoder\.\*' and '\*\.weight'"
    ):
        renamed(NAMES, {"encoder.*": "a.*", "*.weight": "b.*"}, "source.rename")


@pytest.mark.parametrize("pattern", ["encoder.weight", "enc.*"])
def test_a_pattern_without_a_match_is_refused_with_near_names(pattern: str) -> None:
    with pytest.raises(InvalidInputError, match=r"a tensor of the file, such as .*encoder"):
        renamed(NAMES, {pattern: pattern}, "source.rename")


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ({"a.*": "b"}, "1 stars and 'b' has 0"),
        ({"a": "b.*"}, "0 stars"),
        ({"": "b"}, "empty"),
        ({"a": ""}, "empty"),
        ({f"a{n}.*": f"b{n}.*" for n in range(51)}, "51 patterns with stars, at most 50"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused(rename: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_rename(rename)
