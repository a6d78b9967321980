"""Inputs that are broken or meant to harm, and how a running service takes them."""
