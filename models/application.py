"""Trying a network on two samples before hours are spent: what can be built cannot always be applied."""

from __future__ import annotations

import torch

from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.family import ModelFamily
from models.plans.memory import is_out_of_memory
from models.randomness import seeded_torch
from search.errors import InvalidInputError


def check_applies(family: ModelFamily, shape: DataShape, examples: Examples) -> None:
    """Build a network, apply it to the first samples and let go of it.

    Networks of libraries and of users raise what they like: a size that is not a multiple of another, a name that is
    none.  For text nothing of it shows without numbers, since the libraries look at the mask.

    Args:
        family: Of the network.
        shape: Of the data.
        examples: Two at least, on the CPU.

    Raises:
        InvalidInputError: The network's own words.
    """
    samples = examples.take(torch.arange(min(2, len(examples))))
    with seeded_torch(0, "application"), torch.no_grad():
        network = family.build(shape).eval()
        try:
            found = tuple(network(**samples.inputs).shape)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            words = " ".join(str(error).split())[:300]
            raise InvalidInputError(
                "model",
                f"a network that cannot be applied to these data: {type(error).__name__}: {words}",
                "options with which the architecture takes them",
            ) from error
    expected = (len(samples), shape.n_classes)
    if found != expected:
        raise InvalidInputError(
            "model",
            f"a network that answers {expected[0]} samples with numbers of shape {found}",
            f"logits of shape {expected}",
        )
