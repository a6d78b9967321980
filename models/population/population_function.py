"""The seam for population functions: what a network calls without a layer, computed for all candidates at once.

They stand in for functions for which ``torch.func.vmap`` has no rule, or one that copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from torch.overrides import TorchFunctionMode

from models.population.batched import is_batched_here
from search.registry import import_modules_of

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_FUNCTIONS: dict[Any, Callable[..., Any]] = {}
_ALWAYS_CALLED: set[Any] = set()


def stands_in_for(
    function: Callable[..., Any], *, always: bool = False
) -> Callable[[FunctionT], FunctionT]:
    """Decorator that makes a function of a population known; it takes the same arguments.

    Args:
        function: What it stands in for.
        always: Whether it is called for values too that are the same for all candidates.
    """

    def add(population_function: FunctionT) -> FunctionT:
        _FUNCTIONS[function] = population_function
        if always:
            _ALWAYS_CALLED.add(function)
        return population_function

    return add


@cache
def population_functions() -> Mapping[Any, Callable[..., Any]]:
    """Every population function by what it stands in for; each file in ``models/population/functions`` adds some."""
    import_modules_of("models.population.functions")
    return _FUNCTIONS


class PopulationFunctions(TorchFunctionMode):
    """While active, calls with values that differ between candidates go to the functions of a population."""

    def __init__(self) -> None:
        """Find them."""
        super().__init__()
        self._functions = population_functions()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function, or what stands in for it."""
        options = kwargs or {}
        stand_in = self._functions.get(func)
        if stand_in is None:
            return func(*args, **options)
        is_called = func in _ALWAYS_CALLED or differ((*args, *options.values()))
        return (stand_in if is_called else func)(*args, **options)


def differ(values: Iterable[object]) -> bool:
    """Whether any of a function's arguments differs between candidates."""
    return any(map(is_batched_here, values))
