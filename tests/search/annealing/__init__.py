"""Tests of search/annealing."""
