"""Tests of search/proposing."""
