"""Tests of folders of images."""
