"""The library itself, imported when a spec needs it: it takes seconds, and it is an extra."""

from __future__ import annotations

import importlib
from typing import Any

from search.errors import InvalidInputError


def transformers_library(field: str) -> Any:
    """Import transformers.

    Args:
        field: What in the spec needs it, for the error.

    Raises:
        InvalidInputError: It is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise InvalidInputError(
            field,
            f"what needs the library transformers, which cannot be imported ({error})",
            "an installation with it: pip install 'transfermask[transformers]'",
        ) from error
