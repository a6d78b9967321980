"""Libraries of image networks, imported when a spec needs them: they are extras, and bound to one version of torch."""

from __future__ import annotations

import importlib
import re
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


def matching_torchvision(torch_version: str = torch.__version__) -> str:
    """The torchvision that belongs to a torch, ``0.24.*`` say."""
    found = re.match(r"2\.(\d+)", torch_version)
    return f"0.{int(found[1]) + MINOR_DIFFERENCE}.*" if found else "of the same release"
