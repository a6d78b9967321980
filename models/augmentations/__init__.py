"""Augmentations.  One file each; a new file is a new ``kind`` in ``finetune.augmentation``."""

from models.recipe.augmentation import AUGMENTATIONS

__all__ = ["AUGMENTATIONS"]
