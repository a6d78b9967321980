"""Tests of search/race."""
