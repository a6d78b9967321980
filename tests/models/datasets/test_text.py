"""Tests of labelled text: classes, own parts, groups, tokens, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from models.data.dataset import DatasetContext
from models.data.preprocessing import Preprocessing
from models.data.splits import load_task
from models.datasets import text
from models.datasets.text import LabelledText, TextConfig
from models.inputs import InputFolder
from models.surroundings import Surroundings
from search.errors import DataError, InvalidInputError
from tests.models.word_tokens import PADDING, WordTokens

ROWS = [(f"word{row} " * (1 + row % 5), ("c10", "c2", "other")[row % 3]) for row in range(60)]


def written(
    folder: Path, rows: Any, name: str = "data.csv", header: Any = ("text", "label")
) -> Path:
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder


def opened(folder: Path, rules: WordTokens | None = None, **options: Any) -> LabelledText:
    surroundings = Surroundings(InputFolder(folder), folder / "cache")
    context = DatasetContext(surroundings, Preprocessing(text=rules or WordTokens()))
    return LabelledText(TextConfig(**{"path": "data.csv", **options}), context)


def test_classes_keep_their_names_in_natural_order(tmp_path: Path) -> None:
    dataset = opened(written(tmp_path, ROWS))
    data = dataset.load()
    assert dataset.shape().n_classes == 3
    assert data.class_names == ("c2", "c10", "other")
    assert data.examples.labels[:4].tolist() == [1, 0, 2, 1]
    assert dataset.own_parts() == frozenset()


def test_the_shape_says_how_long_texts_can_be_and_all_have_the_longest_ones_length(
    tmp_path: Path,
) -> None:
    dataset = opened(written(tmp_path, ROWS))
    assert dataset.shape().inputs == {"input_ids": (16,), "attention_mask": (16,)}
    inputs = dataset.load().examples.inputs
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (60, 5)
    assert inputs["input_ids"][0, :4].tolist() == [PADDING] * 4
    assert inputs["attention_mask"][0].tolist() == [0, 0, 0, 0, 1]


def test_longer_texts_are_cut_off_at_max_length(tmp_path: Path) -> None:
    dataset = opened(written(tmp_path, ROWS), max_length=2)
    assert dataset.shape().inputs["input_ids"] == (2,)
    assert dataset.load().examples.inputs["input_ids"].shape == (60, 2)
    message = r"dataset\.max_length: 17 given, expected at most 16 tokens"
    with pytest.raises(InvalidInputError, match=message):
        opened(tmp_path, max_length=17)
    assert opened(tmp_path, WordTokens(longest=512)).shape().inputs["input_ids"] == (128,)


def test_several_columns_are_joined(tmp_path: Path) -> None:
    rows = [(row, "a", "b c", row % 2) for row in range(8)]
    written(tmp_path, rows, header=("id", "title", "body", "class"))
    data = opened(tmp_path, text=("title", "body"), label="class").load()
    whole = WordTokens().encode(["a\nb c"], 16)["input_ids"]
    assert torch.equal(data.examples.inputs["input_ids"], whole.expand(8, 3))


def test_own_files_are_parts_of_their_own_with_one_length(tmp_path: Path) -> None:
    written(tmp_path, ROWS)
    written(tmp_path, [("a b c d e f g", "c2")], "validation.csv")
    written(tmp_path, [("a", "other"), ("b", "c10")], "test.csv")
    options: dict[str, Any] = {"validation_path": "validation.csv", "test_path": "test.csv"}
    dataset = opened(tmp_path, **options)
    assert dataset.own_parts() == {"validation", "test"}
    task = load_task(dataset, TextConfig(path="data.csv", **options), 0)
    assert [len(part) for part in (task.train, task.validation, task.test)] == [60, 1, 2]
    assert {part.inputs["input_ids"].shape[1] for part in (task.train, task.test)} == {7}
    assert task.validation.labels.tolist() == [0]
    assert task.test.labels.tolist() == [2, 1]
    assert len(task.held_out) == 3


def test_the_same_text_is_the_same_sample_in_every_file(tmp_path: Path) -> None:
    written(tmp_path, ROWS)
    written(
        tmp_path,
        [(shown, "x" if row % 2 else "y") for row, (shown, _) in enumerate(ROWS[::-1])],
        "b.csv",
    )
    first, second = opened(tmp_path).load(), opened(tmp_path, path="b.csv").load()
    assert first.samples == second.samples[::-1]


def test_groups_are_never_in_two_parts(tmp_path: Path) -> None:
    rows = [(f"w{row}", row % 2, f"doc {row // 6}") for row in range(120)]
    written(tmp_path, rows, header=("text", "label", "document"))
    data = opened(tmp_path, group="document").load()
    assert data.groups is not None
    assert data.groups[:7] == (*["doc 0"] * 6, "doc 1")
    owner = dict(zip(data.samples, data.groups, strict=True))
    config = TextConfig(path="data.csv", group="document")
    names = load_task(opened(tmp_path, group="document"), config, 0).names
    parts = [{owner[name] for name in part} for part in (names.train, names.validation, names.test)]
    assert len(set.union(*parts)) == sum(len(part) for part in parts) == 20


def test_a_group_in_an_own_file_and_elsewhere_is_refused(tmp_path: Path) -> None:
    header = ("text", "label", "who")
    written(tmp_path, [("a", 0, "x"), ("b", 1, "y")], header=header)
    written(tmp_path, [("c", 0, "z"), ("d", 1, "y")], "test.csv", header=header)
    message = r"dataset\.test_path: test\.csv: group 'y', which data\.csv has too"
    with pytest.raises(DataError, match=message):
        opened(tmp_path, group="who", test_path="test.csv").load()


def test_texts_are_tokenised_once(tmp_path: Path) -> None:
    rules = WordTokens()
    first, again = (opened(written(tmp_path, ROWS), rules).load().examples for _ in range(2))
    assert rules.n_encoded == 60
    assert torch.equal(first.inputs["input_ids"], again.inputs["input_ids"])
    # Labels are none of a tokenizer's business.
    relabelled = [(shown, label.upper()) for shown, label in ROWS]
    assert opened(written(tmp_path, relabelled), rules).load().class_names[0] == "C2"
    assert rules.n_encoded == 60


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "float": ([("a", "1"), ("b", "1.0")], {}, r"data\.csv line 3: the label '1\.0', a number with"),
    "no label": ([("a", "x"), ("b", " ")], {}, r"line 3: no label given, expected a word or an"),
    "no text": ([("a", "x"), ("  ", "y")], {}, r"line 3: no text given"),
    "one class": (
        [("a", "x"), ("b", "x")],
        {},
        "one class, 'x' given, expected labels of at least",
    ),
    "no rows": ([], {}, "no rows"),
    "text as label": ([("a", "x y " * 99), ("b", "y")], {}, "line 2: a label of 395 characters"),
    "no group": (
        [("a", "x"), ("b", "")],
        {"label": "text", "text": "label", "group": "no"},
        "no column 'no'",
    ),
    "no column": ([("a", "x")], {"text": "texts"}, "no column 'texts' .* did you mean 'text'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_cannot_be_used_are_refused_before_the_search(tmp_path: Path, case: str) -> None:
    rows, options, expected = REFUSED[case]
    with pytest.raises(DataError, match=rf"^dataset\.path: .*{expected}"):
        opened(written(tmp_path, rows), **options).shape()


def test_a_missing_group_is_refused_with_its_row(tmp_path: Path) -> None:
    written(tmp_path, [("a", 0, "x"), ("b", 1, "")], header=("text", "label", "who"))
    with pytest.raises(DataError, match="line 3: no group given"):
        opened(tmp_path, group="who").shape()


def test_json_values_of_other_types_are_refused_with_their_row(tmp_path: Path) -> None:
    for line, expected in (
        ('{"text": 5, "label": 1}', "line 2: '5' in column 'text', of type int"),
        ('{"text": "a", "label": 1.0}', r"line 2: the label '1\.0' of type float"),
        ('{"text": "a", "label": NaN}', "line 2: the label 'nan' of type float"),
        ('{"text": "a", "label": [1]}', r"line 2: the label '\[1\]' of type list"),
        ('{"text": "a"}', "line 2: no label"),
        (r'{"text": "\ud800", "label": 1}', "line 2: a NUL or half a surrogate pair"),
        (r'{"text": "\u0000", "label": 1}', "line 2: a NUL or half a surrogate pair"),
        ('{"text": "%s", "label": 1}' % ("a" * 200_000), "line 2: 200,000 characters"),
    ):
        (tmp_path / "data.jsonl").write_text(f'{{"text": "ok", "label": 2}}\n{line}\n')
        with pytest.raises(DataError, match=rf"data\.jsonl {expected}"):
            opened(tmp_path, path="data.jsonl").shape()


def test_a_class_of_an_own_file_that_training_lacks_is_refused_by_name(tmp_path: Path) -> None:
    written(tmp_path, ROWS)
    written(tmp_path, [("a", "c2"), ("b", "c3")], "test.csv")
    message = r"dataset\.test_path: test\.csv line 3: the label 'c3' given, .* 'c2', 'c10', 'other'"
    with pytest.raises(DataError, match=message):
        opened(tmp_path, test_path="test.csv").shape()


def test_a_model_without_a_tokenizer_is_refused_with_the_way_out(tmp_path: Path) -> None:
    context = DatasetContext(Surroundings.of(written(tmp_path, ROWS)))
    with pytest.raises(InvalidInputError, match=r"dataset\.kind: .* a kind that reads text"):
        LabelledText(TextConfig(path="data.csv"), context)


def test_more_tokens_than_memory_is_for_are_refused_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "MAX_TOKEN_BYTES", 10_000)
    with pytest.raises(DataError, match=r"dataset\.max_length: 16 for each of 60 texts, 15,360"):
        opened(written(tmp_path, ROWS)).shape()


def test_paths_that_lead_out_are_refused_by_their_field(tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    written(tmp_path, ROWS)
    written(tmp_path / "inputs", ROWS)
    (tmp_path / "inputs" / "link.csv").symlink_to(tmp_path / "data.csv")
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"path": "../data.csv"}, "path"),
        ({"test_path": "link.csv"}, "test_path"),
        ({"validation_path": str(tmp_path / "data.csv")}, "validation_path"),
    )
    for options, field in cases:
        with pytest.raises(InvalidInputError, match=rf"^dataset\.{field}: "):
            opened(tmp_path / "inputs", **options)


@pytest.mark.parametrize(
    "options",
    [{"text": "label"}, {"group": "text"}, {"text": ("a", "a")}, {"text": ()}, {"delimiter": '"'},
     {"encoding": "unicode_escape"}, {"format": "xlsx"}, {"max_length": 0}],
)  # fmt: skip
def test_options_that_contradict_themselves_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TextConfig(path="data.csv", **options)
