"""Folders of images: which files they hold, and what becomes of each."""
