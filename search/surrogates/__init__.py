"""Surrogates: models of the fitness of masks.  One file each; a new file is a new ``surrogate.kind``."""

from search.surrogate import SURROGATES

__all__ = ["SURROGATES"]
