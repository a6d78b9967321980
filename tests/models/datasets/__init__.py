"""Tests of single data sources."""
