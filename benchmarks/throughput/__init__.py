"""Candidate-steps per second of our plans against what one would write by hand."""
