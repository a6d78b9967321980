"""Optimizers of fine-tuning.  One file each; a new file is a new ``finetune.optimizer.kind``."""

from models.recipe.training_optimizer import TRAINING_OPTIMIZERS

__all__ = ["TRAINING_OPTIMIZERS"]
