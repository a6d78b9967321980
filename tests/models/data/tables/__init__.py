"""Tests of the tables that people bring."""
