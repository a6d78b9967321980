"""Fine-tuning strategies.  One file each; a new file is a new ``finetune.kind``."""

from models.recipe.strategy import STRATEGIES

__all__ = ["STRATEGIES"]
