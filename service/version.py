"""The version of the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed_version() -> str:
    try:
        return version("transfermask")
    except PackageNotFoundError:
        # A source tree that was never installed.
        return "0+unknown"


VERSION = _installed_version()
