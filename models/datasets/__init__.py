"""Data sources.  One file each; a new file is a new ``dataset.kind``."""

from models.data.dataset import DATASETS

__all__ = ["DATASETS"]
