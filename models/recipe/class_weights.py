"""How much classes count: in the loss, and when samples are drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from models.recipe.loss import ClassWeights
from search.errors import InvalidInputError


def check_class_weights(option: ClassWeights, n_classes: int) -> None:
    """Refuse weights for another number of classes.

    Raises:
        InvalidInputError: With both numbers.
    """
    if isinstance(option, tuple) and len(option) != n_classes:
        raise InvalidInputError(
            "finetune.loss.class_weights",
            f"{len(option)} weights",
            f"one weight per class, {n_classes}",
        )


def class_weights(option: ClassWeights, labels: Tensor, n_classes: int) -> Tensor | None:
    """Weight of each class in the loss.

    ``balanced`` gives n / (c * n_k) to a class with n_k of n samples where c classes occur, as scikit-learn's
    ``compute_class_weight`` does: all classes together count alike, and the mean over the samples is 1.  A class
    without a sample has weight 1.

    Args:
        option: What the loss's config says.
        labels: int64 ``(N,)`` of the training part, 0 to C - 1.
        n_classes: C.

    Returns:
        float32 ``(C,)`` on the labels' device, or None if all samples count alike.

    Raises:
        InvalidInputError: Weights are given for another number of classes.
    """
    check_class_weights(option, n_classes)
    if option is None:
        return None
    if option != "balanced":
        return torch.tensor(option, dtype=torch.float32, device=labels.device)
    counts = torch.bincount(labels, minlength=n_classes)
    n_present = int((counts > 0).sum())
    balanced = len(labels) / (n_present * counts.clamp(min=1).double())
    return torch.where(counts > 0, balanced, 1.0).float()


def sample_weights(option: ClassWeights, labels: Tensor, n_classes: int) -> Tensor | None:
    """Weight of each training sample in the loss: that of its class.

    Returns:
        float32 ``(N,)`` on the labels' device, or None if all samples count alike.

    Raises:
        InvalidInputError: Weights are given for another number of classes.
    """
    weights = class_weights(option, labels, n_classes)
    return None if weights is None else weights[labels]


def balanced_draws(labels: Tensor) -> Tensor:
    """How likely each sample is drawn if all classes that occur are to be drawn equally often.

    Returns:
        float64 ``(N,)`` on the labels' device: 1 over the number of samples of the same class.
    """
    return torch.bincount(labels).double().reciprocal()[labels]
