"""Data sets: the seam, shapes, splits, normalisation, known shifts."""
