"""From a .pth file to safetensors: the one place that opens a pickle, for the person who runs it, never for a request.

``torch.load(weights_only=True)`` builds tensors and plain containers and runs no code from the file.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints.conversion import is_finite
from models.checkpoints.state import State
from models.checkpoints.writing import save_state
from search.errors import InvalidInputError

# Where training programs put the state dict beside optimizer and epoch, most likely first.
KEYS = ("state_dict", "model_state_dict", "model")
SHOWN = 5
# What a broken or hostile file makes torch's unpickler raise; the format is old, and few of these are checked for.
LOAD_ERRORS = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ImportError,
    OSError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class PickledState:
    """A state dict from a pickle.

    Attributes:
        state: Its tensors.
        notes: What was taken, left out or odd, in words.
    """

    state: State
    notes: tuple[str, ...]


def convert_pickled(
    path: Path, output: Path, key: str | None = None, *, overwrite: bool = False
) -> PickledState:
    """Write the state dict of a .pth file as safetensors; tensors that share memory become separate.

    Args:
        path: Written by ``torch.save``.
        output: Where to.
        key: Under which the state dict stands in the file, if it is not plain.
        overwrite: Replace an existing file.

    Raises:
        InvalidInputError: The file cannot be read without running code, holds no state dict, or the output exists.
    """
    if output.exists() and (not overwrite or output.resolve() == path.resolve()):
        raise InvalidInputError("OUT", output, "a file that does not exist, or --force")
    if not output.absolute().parent.is_dir():
        raise InvalidInputError("OUT", output, "a file in a folder that exists")
    found = read_pickled(path, key)
    save_state(output, found.state)
    return found


def read_pickled(path: Path, key: str | None = None) -> PickledState:
    """Read the state dict of a .pth file; arguments and errors as for ``convert_pickled``."""
    document = _loaded(path)
    if not isinstance(document, Mapping):
        raise InvalidInputError(
            "IN", f"{path.name} with a {type(document).__name__}", "a dictionary of tensors by name"
        )
    taken = key if key is not None else _likely_key(document)
    notes = []
    if taken is not None:
        notes.append(f"took what stands under {taken!r}")
        left_out = [str(other) for other in document if other != taken]
        if left_out:
            notes.append(f"left out {_some(left_out)}")
        document = _under(document, taken, path)
    state = {name: value.detach() for name, value in document.items() if isinstance(value, Tensor)}
    if not state:
        raise InvalidInputError(
            "IN" if key is None else "--key",
            f"{path.name} with {_some([str(name) for name in document])}"
            + ("" if taken is None else f" under {taken!r}"),
            "tensors by name; --key names where they stand",
        )
    others = [str(name) for name in document if name not in state]
    if others:
        notes.append(f"left out {_some(others)}, which are no tensors")
    return PickledState(state, (*notes, *_checked(state, path)))


def _loaded(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # About old or new versions of the format; what matters raises.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InvalidInputError("IN", path, "an existing file") from error
    except LOAD_ERRORS as error:
        code = re.search(r"GLOBAL ([\w.]*\w) (?:was|whose)", str(error))
        if code is None:
            raise InvalidInputError(
                "IN", f"{path.name}: {_cause(error)}", "a whole file that torch.save has written"
            ) from error
        raise InvalidInputError(
            "IN",
            f"{path.name}, in which weights_only found code: {code[1]}",
            "tensors and plain containers. Where that code is installed, and if the file is trusted, "
            "torch.save(model.state_dict(), 'weights.pth') writes what can be converted",
        ) from error


def _cause(error: Exception) -> str:
    """What torch's unpickler says, without its advice to run whatever is in the file."""
    before, mark, after = str(error).partition("WeightsUnpickler error:")
    lines = [line.strip() for line in (after if mark else before).splitlines() if line.strip()]
    return f"{type(error).__name__} {lines[0] if lines else ''}".strip()[:200]


def _likely_key(document: Mapping[Any, Any]) -> str | None:
    """Where a state dict stands in a training checkpoint; None for a plain one."""
    return next((key for key in KEYS if _holds_tensors(document.get(key))), None)


def _holds_tensors(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values())


def _under(document: Mapping[Any, Any], key: str, path: Path) -> Mapping[Any, Any]:
    value = document.get(key)
    if not isinstance(value, Mapping):
        nested = [str(name) for name, other in document.items() if isinstance(other, Mapping)]
        raise InvalidInputError(
            "--key", repr(key), f"a dictionary in {path.name}: {_some(nested) or 'it has none'}"
        )
    return value


def _checked(state: State, path: Path) -> list[str]:
    """Refuse what safetensors cannot hold; notes on what a search would refuse."""
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise InvalidInputError("IN", f"{path.name}: {name!r}", "names that are text")
        if tensor.layout != torch.strided or tensor.is_quantized:
            kind = "quantised" if tensor.is_quantized else str(tensor.layout)
            raise InvalidInputError("IN", f"{path.name}: {name} is {kind}", "plain, dense tensors")
    bad = [name for name, tensor in state.items() if not is_finite(tensor)]
    return [f"NaN or infinite values, which a search refuses, in {_some(bad)}"] if bad else []


def _some(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(name[:100] for name in names[:SHOWN]) + (
        f" and {rest} more" if rest > 0 else ""
    )
