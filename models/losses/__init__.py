"""Losses.  One file each; a new file is a new ``finetune.loss.kind``."""

from models.recipe.loss import LOSSES

__all__ = ["LOSSES"]
