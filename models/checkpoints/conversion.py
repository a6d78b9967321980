"""Numbers of a checkpoint for a network: other precisions are converted, other kinds of numbers refused."""

from __future__ import annotations

import torch
from torch import Tensor

# As safetensors spells them.
FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
INTEGERS = {
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}
DTYPES = {
    **FLOATS,
    **INTEGERS,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}


def why_not_convertible(given: str, wanted: torch.dtype) -> str | None:
    """Say why numbers of a type in a file cannot be those of a network; None if they can.

    Args:
        given: As safetensors spells it.
        wanted: The network's.
    """
    dtype = DTYPES.get(given)
    if dtype is None:
        return f"{given}, quantised or unknown"
    both = {dtype, wanted}
    if dtype == wanted or both <= set(FLOATS.values()) or both <= set(INTEGERS.values()):
        return None
    return f"{type_name(dtype)}, another kind of number than {type_name(wanted)}"


def convert(tensor: Tensor, wanted: torch.dtype) -> Tensor:
    """Copy a tensor to the network's type.

    Args:
        tensor: Of a type that ``why_not_convertible`` allows; may be a view of a file.
        wanted: The network's.

    Raises:
        OverflowError: Whole numbers do not fit.
    """
    converted = tensor.to(wanted, copy=True)
    if wanted in INTEGERS.values() and not torch.equal(converted.long(), tensor.long()):
        raise OverflowError(f"numbers that do not fit into {type_name(wanted)}")
    return converted


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor of any type has neither NaN nor infinite values."""
    # Torch cannot ask this of the types of quantised weights.
    return tensor.dtype not in FLOATS.values() or bool(torch.isfinite(tensor).all())


def is_sound(tensor: Tensor, *, is_parameter: bool) -> bool:
    """Whether values can be those of a network: no NaN and, in parameters, nothing infinite.

    A buffer may be infinite, as the mask of an attention is.
    """
    if is_parameter:
        return is_finite(tensor)
    return not torch.isnan(tensor).any()


def type_name(dtype: torch.dtype) -> str:
    """``float32``, say."""
    return str(dtype).removeprefix("torch.")
