"""Network architectures.  One file each; a new file is a new ``model.kind``."""

from models.family import FAMILIES

__all__ = ["FAMILIES"]
