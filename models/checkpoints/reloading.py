"""Making sure that written weights can be used: loading them as their user will."""

from __future__ import annotations

import copy
from pathlib import Path

from torch import nn

from models.checkpoints.header import read_headers
from models.checkpoints.reading import read_tensors
from search.errors import InvalidInputError, TransferMaskError


def check_loads_back(path: Path, network: nn.Module) -> None:
    """Load a file into a copy of a network, strictly: every name, every shape.

    Args:
        path: Of the file.
        network: The architecture; its own weights need no memory.

    Raises:
        TransferMaskError: It does not load; what was written is no result.
    """
    try:
        state = dict(read_tensors(path, read_headers(path, "weights"), "weights"))
        copy.deepcopy(network).load_state_dict(state, strict=True, assign=True)
    except (InvalidInputError, RuntimeError) as error:
        raise TransferMaskError(f"{path} was written and does not load back: {error}") from error
