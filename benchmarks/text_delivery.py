"""Opening a delivered folder of a text model as its users do, with ``from_pretrained``, and comparing its answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.delivery import SAME, Delivery, own_network
from models.data.dataset import Examples
from service.composition import read_data

SAMPLES_AT_ONCE = 100


def compare_reopened(delivery: Delivery) -> dict[str, float | int]:
    """Answer a search's held-out texts by the folder's model and by the delivered weights.

    Returns:
        Number of ``samples``, ``largest_difference`` of a logit, and ``accuracy`` of the folder's model.

    Raises:
        SystemExit: The two do not answer alike.
    """
    from transformers import AutoModelForSequenceClassification

    reopened = AutoModelForSequenceClassification.from_pretrained(delivery.model).eval()
    test = read_data(delivery.spec, delivery.surroundings).test
    expected, found = _logits(own_network(delivery), test), _logits(reopened, test)
    difference = float((expected - found).abs().max())
    if difference > SAME:
        raise SystemExit(f"the folder's logits differ from the delivered weights' by {difference}")
    accuracy = float((found.argmax(dim=1) == test.labels).double().mean())
    return {
        "samples": len(test.labels),
        "largest_difference": difference,
        "accuracy": accuracy,
    }


@torch.no_grad()
def _logits(network: nn.Module, examples: Examples) -> Tensor:
    """Answers ``(N, C)``, of which the library wraps its own."""
    answers = []
    for places in torch.arange(len(examples.labels)).split(SAMPLES_AT_ONCE):
        given = network(**examples.take(places).inputs)
        answers.append(given if isinstance(given, Tensor) else given.logits)
    return torch.cat(answers)
