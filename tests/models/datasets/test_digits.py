"""Tests of the digits that scikit-learn brings along."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from models.data.dataset import DatasetContext, LabelledData
from models.datasets.digits import Digits, DigitsConfig
from models.surroundings import Surroundings


def load(**options: object) -> LabelledData:
    config = DigitsConfig.model_validate(options)
    return Digits(config, DatasetContext(Surroundings.of(Path("inputs")))).load()


def test_images_are_grey_and_from_0_to_1() -> None:
    data = load()
    assert data.examples.inputs["x"].shape == (1797, 1, 8, 8)
    assert data.examples.inputs["x"].dtype == torch.float32
    lowest, highest = data.examples.inputs["x"].aminmax()
    assert (lowest.item(), highest.item()) == (0, 1)
    assert data.examples.labels.unique().tolist() == list(range(10))


def test_chosen_digits_become_the_first_classes_in_the_order_given() -> None:
    data = load(classes=[7, 2])
    everything = load()
    sevens = everything.examples.inputs["x"][everything.examples.labels == 7]
    assert data.class_names == ("7", "2")
    torch.testing.assert_close(data.examples.inputs["x"][data.examples.labels == 0], sevens)


def test_shifts_apply_in_order() -> None:
    labels = load(shift=[{"kind": "label_cycle"}, {"kind": "label_flip"}]).examples.labels
    assert labels.tolist() == (9 - (load().examples.labels + 1) % 10).tolist()


@pytest.mark.parametrize("classes", [[3, 3], [3, 10], [3], [-1, 2]])
def test_what_are_not_different_digits_is_refused(classes: list[int]) -> None:
    with pytest.raises(ValidationError, match="classes"):
        DigitsConfig.model_validate({"classes": classes})
