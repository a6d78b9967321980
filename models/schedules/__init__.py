"""Learning-rate schedules.  One file each; a new file is a new ``finetune.schedule.kind``."""

from models.schedule import SCHEDULES

__all__ = ["SCHEDULES"]
