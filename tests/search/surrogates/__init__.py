"""Tests of search/surrogates."""
