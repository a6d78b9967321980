"""Judging what networks say: predictions, metrics, fitness, the source task, figures by class."""
