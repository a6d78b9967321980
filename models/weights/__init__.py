"""Where weights come from.  One file each; a new file is a new ``source.kind`` and ``target.kind``."""

from models.weights_source import WEIGHTS

__all__ = ["WEIGHTS"]
