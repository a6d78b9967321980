"""Values of a population inside ``torch.func.vmap``, and the tensors behind them.

Inside ``vmap`` a value looks like one candidate's; behind it is one tensor with an axis for the population, wherever
that axis happens to lie.  This is the only module that touches functorch's own functions for that: they have no public
names, and a custom rule by ``torch.autograd.Function`` costs several times as much per call.
"""

from __future__ import annotations

from torch import Tensor
from torch._C import _functorch


def is_batched(value: object) -> bool:
    """Whether a value differs between candidates; what does not, is computed once for all of them."""
    return isinstance(value, Tensor) and _functorch.is_batchedtensor(value)


def is_batched_here(value: object) -> bool:
    """Whether a value is batched by the innermost transform: the network may have transforms of its own."""
    return (
        isinstance(value, Tensor)
        and _functorch.is_batchedtensor(value)
        and _functorch.maybe_get_level(value) == _functorch.maybe_current_level()
    )


def is_inside_another_transform() -> bool:
    """Whether the code that runs is not for one candidate alone, but transformed once more by the network itself."""
    return _functorch.maybe_current_level() != 1


def uncover(value: Tensor, axis: int) -> Tensor:
    """Give the tensor behind a batched value, its population axis moved to ``axis`` without a copy."""
    found_at = _functorch.maybe_get_bdim(value)
    tensor = _functorch.get_unwrapped(value)
    return tensor if found_at == axis else tensor.movedim(found_at, axis)


def cover(tensor: Tensor, axis: int) -> Tensor:
    """Make a tensor with a population axis look like one candidate's."""
    level = _functorch.maybe_current_level()
    assert level is not None
    return _functorch._add_batch_dim(tensor, axis, level)


def set_slow_rule_warnings(wanted: bool) -> None:
    """Have ``vmap`` warn, or not, where it calls a function candidate by candidate."""
    _functorch._set_vmap_fallback_warning_enabled(wanted)  # type: ignore[attr-defined]
