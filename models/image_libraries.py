"""Libraries of image networks, imported when a spec needs them: they are extras, and bound to one version of torch."""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from search.errors import InvalidInputError

# torch 2.9 belongs to torchvision 0.24, and so on.
MINOR_DIFFERENCE = 15


def image_library(name: str) -> Any:
    """Import ``timm`` or ``torchvision``.

    Raises:
        InvalidInputError: It is not installed, or not for this torch.
    """
    try:
        return importlib.import_module(name)
    # torchvision for another torch fails with a RuntimeError, for its operators are missing.
    except (ImportError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInputError(
            "model.kind",
            f"{name!r}, whose library cannot be imported ({reason})",
            f"an installation with it: pip install 'transfermask[{name}]', with torchvision "
            f"{matching_torchvision()} for the torch {torch.__version__} that is installed, both from one index",
        ) from error


def check_options(options: Mapping[str, Any], decided: Collection[str]) -> None:
    """Refuse arguments of a library that are not the user's to give.

    Raises:
        InvalidInputError: The first of them is named.
    """
    for key in sorted(options.keys() & set(decided)):
        raise InvalidInputError(
            f"model.options.{key}",
            options[key],
            "no such key: the data decide, and weights come from source and target",
        )


@contextmanager
def refusals_told(library: str, name: str, function: str) -> Iterator[None]:
    """Tell what a library does not take in building a network, whatever it raises.

    Args:
        library: ``timm`` or ``torchvision``.
        name: Of the architecture.
        function: Of the library, which takes the options.

    Raises:
        InvalidInputError: In the library's own words.
    """
    try:
        yield
    except Exception as error:
        raise InvalidInputError(
            "model.options",
            f"what {library} refuses for {name}: {type(error).__name__}: {str(error)[:300]}",
            f"arguments that {function} takes",
        ) from error


def matching_torchvision(torch_version: str = torch.__version__) -> str:
    """The torchvision that belongs to a torch, ``0.24.*`` say."""
    found = re.match(r"2\.(\d+)", torch_version)
    return f"0.{int(found[1]) + MINOR_DIFFERENCE}.*" if found else "of the same release"
