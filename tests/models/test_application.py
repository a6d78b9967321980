"""Networks that can be built and not applied are refused by what they say themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.application import check_applies
from models.data.shapes import DataShape
from models.family import ModelFamily
from search.errors import InvalidInputError
from tests.models.huggingface.cases import TEXT, examples_of, inline
from tests.models.small_task import IMAGES, examples


class Applied(nn.Module):
    """Does what it is given to do."""

    def __init__(self, does: Callable[[Tensor], object]) -> None:
        super().__init__()
        self._does = does

    def forward(self, x: Tensor) -> object:
        return self._does(x)


class FamilyOfOne(ModelFamily):
    """Builds such networks."""

    def __init__(self, does: Callable[[Tensor], object]) -> None:
        self._does = does

    def build(self, shape: DataShape) -> nn.Module:
        return Applied(self._does)


def divide(x: Tensor) -> Tensor:
    return x / (len(x) // 3 // 0)


def run_out(x: Tensor) -> Tensor:
    raise MemoryError


def test_a_network_that_gives_logits_changes_nothing() -> None:
    before = torch.get_rng_state()
    check_applies(inline("bert"), TEXT, examples_of(TEXT, 5))
    check_applies(FamilyOfOne(lambda x: x.flatten(1)[:, :3]), IMAGES, examples(5))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("does", "words"),
    [
        (divide, "ZeroDivisionError: integer"),
        (lambda x: x[:, :, :, 9], "IndexError: index 9 is out of bounds"),
        (lambda x: {"logits": x}, "AttributeError: 'dict' object"),
        (lambda x: x, r"2 samples with numbers of shape \(2, 1, 8, 8\) given.*\(2, 3\)"),
    ],
)
def test_whatever_a_network_raises_is_told(does: Callable[[Tensor], object], words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^model: a network that .*{words}"):
        check_applies(FamilyOfOne(does), IMAGES, examples(5))


def test_a_configuration_of_text_that_only_numbers_show_to_be_wrong_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="a multiple of the chunk size 7"):
        check_applies(inline("bert", chunk_size_feed_forward=7), TEXT, examples_of(TEXT, 5))


def test_a_lack_of_memory_is_no_fault_of_the_network() -> None:
    with pytest.raises(MemoryError):
        check_applies(FamilyOfOne(run_out), IMAGES, examples(5))
