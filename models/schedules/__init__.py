"""Learning-rate schedules.  One file each; a new file is a new ``finetune.schedule.kind``."""

from models.recipe.schedule import SCHEDULES

__all__ = ["SCHEDULES"]
