"""A user's own module, built by a function that the operator has allowed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.data.blank_samples import blank_samples
from models.data.shapes import DataShape
from models.family import FAMILIES, ModelFamily
from models.surroundings import Surroundings
from search.errors import InvalidInputError, TransferMaskError
from search.registry import PluginConfig

FIELD = "model.factory"
# Samples of the forward pass that shows whether a module fits its data.
N_TRIED = 2


class PythonConfig(PluginConfig):
    """Options of a network that a Python function of the operator's builds."""

    kind: Literal["python"] = "python"
    factory: str = Field(
        pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$",
        max_length=300,
        description="package.module:function, among those that the operator allows; called with the shape of the data "
        "and options",
    )
    options: dict[str, Any] = Field({}, description="keyword arguments of the function")


@FAMILIES.register(PythonConfig)
class PythonFamily(ModelFamily):
    """Builds whatever an allowed function builds."""

    def __init__(self, config: PythonConfig, surroundings: Surroundings) -> None:
        """Import the function.

        Raises:
            InvalidInputError: The operator does not allow it, or it is not there.
        """
        self._config = config
        _refuse_unless_allowed(config.factory, surroundings.factories)
        is_named = config.factory in surroundings.factories
        self._factory = _imported(config.factory, must_be_own=not is_named)

    def build(self, shape: DataShape) -> nn.Module:
        """Call the function, and apply what it gives to zeros.

        Raises:
            InvalidInputError: It raises something, or gives something else than a module that fits the data.
        """
        try:
            network = self._factory(shape, **self._config.options)
        except TransferMaskError:
            # The user's own words for what is wrong.
            raise
        except Exception as error:
            raise self._failed("the factory", error) from error
        if not isinstance(network, nn.Module):
            raise InvalidInputError(
                FIELD,
                f"{self._config.factory}, which gives {type(network).__name__}",
                "a function that gives a torch.nn.Module",
            )
        if not any(True for _ in network.parameters()):
            raise InvalidInputError(
                FIELD, f"{self._config.factory}, whose module has no parameter", "weights to search"
            )
        self._try(network, shape)
        return network

    def _try(self, network: nn.Module, shape: DataShape) -> None:
        """Apply a network to zeros: what the user's module does not take shows before a search begins."""
        is_meta = any(parameter.is_meta for parameter in network.parameters())
        was_training = network.training
        try:
            with torch.no_grad(), torch.random.fork_rng():
                logits = network.eval()(
                    **blank_samples(shape, N_TRIED, "meta" if is_meta else "cpu")
                )
        except Exception as error:
            # Without memory for numbers, code that looks at them fails; it is tried again with some.
            if is_meta and not isinstance(error, TypeError):
                return
            raise self._failed("the module's forward", error) from error
        finally:
            network.train(was_training)
        expected = (N_TRIED, shape.n_classes)
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if given != expected:
            raise InvalidInputError(
                FIELD,
                f"{self._config.factory}, whose module gives {given} for {N_TRIED} samples",
                f"logits of shape {expected}: one row per sample, one column per class",
            )

    def _failed(self, what: str, error: Exception) -> InvalidInputError:
        reason = " ".join(str(error).split())[:300]
        return InvalidInputError(
            FIELD,
            f"{self._config.factory}: {what} raised {type(error).__name__}: {reason}",
            "code that takes the shape of the data, model.options, and inputs by their names",
        )


def _refuse_unless_allowed(factory: str, allowed: tuple[str, ...]) -> None:
    module, _, name = factory.partition(":")
    if factory in allowed or (f"{module}:*" in allowed and not name.startswith("_")):
        return
    names = ", ".join(allowed) if allowed else "none so far"
    raise InvalidInputError(
        FIELD,
        repr(factory),
        f"a function that the operator of this installation allows by TRANSFERMASK_ALLOWED_FACTORIES ({names})",
    )


def _imported(factory: str, *, must_be_own: bool) -> Callable[..., Any]:
    """Import a function; if ``must_be_own``, one that its module itself defines.

    An operator who allows all functions of a module does not mean what the module has imported from elsewhere.
    """
    module_name, _, name = factory.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidInputError(
            FIELD,
            f"{factory}: importing {module_name} raised {type(error).__name__}: {reason}",
            "a module that Python finds, by PYTHONPATH say, and that can be imported",
        ) from error
    function = getattr(module, name, None)
    is_own = getattr(function, "__module__", None) == module_name
    if not callable(function) or (must_be_own and not is_own):
        raise InvalidInputError(
            FIELD, factory, f"a function {name!r} that {module_name} defines; it has none"
        )
    return function  # type: ignore[no-any-return]
