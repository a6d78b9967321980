"""Opening a delivered model folder as its users do, with ``from_pretrained``, and comparing what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from models.data.dataset import Examples
from models.family import build_family, open_data
from models.surroundings import Surroundings
from service.composition import read_data
from service.spec import SearchSpec

SAMPLES_AT_ONCE = 100
# Of a logit: the same weights in the same library, in minibatches of the same size.
TOLERANCE = 1e-5
AUTO_MODELS = {
    "sequence_classification": "AutoModelForSequenceClassification",
    "image_classification": "AutoModelForImageClassification",
}


def compare_reopened(
    spec: SearchSpec, inputs: Path, folder: Path, weights: Path
) -> dict[str, float | int]:
    """Answer a search's held-out samples by the folder and by the delivered weights.

    Args:
        spec: Of the search; its model is of the family ``transformers``.
        inputs: The inputs folder that it was searched with.
        folder: The model folder, unpacked.
        weights: The delivered ``weights.safetensors``.

    Returns:
        Number of ``samples``, ``largest_difference`` of a logit, and ``accuracy`` of the folder's model.

    Raises:
        SystemExit: The two do not answer alike.
    """
    surroundings = Surroundings.of(inputs)
    family = build_family(spec.model, surroundings)
    own = family.build(open_data(family, spec.dataset, surroundings).shape())
    own.load_state_dict(load_file(weights))
    config: Any = spec.model
    library_class = getattr(transformers, AUTO_MODELS[config.task])
    reopened = library_class.from_pretrained(folder)
    test = read_data(spec, surroundings).test
    answers = _logits(own, test, {}), _logits(reopened, test, {"x": "pixel_values"})
    difference = float((answers[0] - answers[1]).abs().max())
    if difference > TOLERANCE:
        raise SystemExit(f"the folder's logits differ from the delivered weights' by {difference}")
    accuracy = float((answers[1].argmax(dim=1) == test.labels).double().mean())
    return {
        "samples": len(test.labels),
        "largest_difference": difference,
        "accuracy": accuracy,
    }


@torch.no_grad()
def _logits(network: nn.Module, examples: Examples, names: dict[str, str]) -> Tensor:
    """Answers of a network that calls some inputs by other names, ``(N, C)``."""
    network.eval()
    answers = []
    for places in torch.arange(len(examples.labels)).split(SAMPLES_AT_ONCE):
        inputs = {names.get(key, key): x[places] for key, x in examples.inputs.items()}
        given = network(**inputs)
        answers.append(given if isinstance(given, Tensor) else given.logits)
    return torch.cat(answers)
