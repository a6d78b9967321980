"""Measuring in several processes."""
