"""Tests of search/optimizers."""
