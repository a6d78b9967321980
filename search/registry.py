"""Plug-ins by name: one new file adds one.

A plug-in module holds a frozen pydantic config whose ``kind`` is a ``Literal`` with a default, a class, and one
``register`` line.  The registry imports every module of its package once, refuses duplicate names, and builds
the discriminated union that specs are parsed with.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from search.errors import DuplicatePluginError, UnknownPluginError

PluginT = TypeVar("PluginT")
ClassT = TypeVar("ClassT", bound=type)


class PluginConfig(BaseModel):
    """Base of every plug-in's options: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str


class Registry(Generic[PluginT]):
    """The plug-ins of one family (``"optimizer"``, say), found in one package's files."""

    def __init__(self, family: str, package: str) -> None:
        """Name the family, as specs spell the field, and the package whose modules register."""
        self.family, self._package = family, package
        self._plugins: dict[str, tuple[type[PluginConfig], type[PluginT]]] = {}
        self._is_scanned = False

    def register(self, config: type[PluginConfig]) -> Callable[[ClassT], ClassT]:
        """Class decorator that makes a plug-in known under its config's ``kind``.

        Raises:
            DuplicatePluginError: Another plug-in of the family has that kind.
        """
        kind = str(config.model_fields["kind"].default)

        def add(plugin: ClassT) -> ClassT:
            if kind in self._plugins:
                other = self._plugins[kind][1]
                raise DuplicatePluginError(
                    f"{self.family} {kind!r} is registered by both {other.__module__} "
                    f"and {plugin.__module__}"
                )
            self._plugins[kind] = (config, plugin)
            return plugin

        return add

    def names(self) -> list[str]:
        """Every registered kind, sorted."""
        self._scan()
        return sorted(self._plugins)

    def config(self, kind: str) -> type[PluginConfig]:
        """The options class of one kind.

        Raises:
            UnknownPluginError: Nothing is registered under that kind.
        """
        return self._entry(kind)[0]

    def plugin(self, kind: str) -> type[PluginT]:
        """The class of one kind.

        Raises:
            UnknownPluginError: Nothing is registered under that kind.
        """
        return self._entry(kind)[1]

    def union(self) -> Any:
        """The pydantic type of a spec field that takes any plug-in of the family, told apart by ``kind``."""
        configs = [self.config(name) for name in self.names()]
        if len(configs) == 1:
            return configs[0]
        return Annotated[reduce(or_, configs), Field(discriminator="kind")]

    def _entry(self, kind: str) -> tuple[type[PluginConfig], type[PluginT]]:
        self._scan()
        if kind not in self._plugins:
            raise UnknownPluginError(self.family, kind, self.names())
        return self._plugins[kind]

    def _scan(self) -> None:
        if self._is_scanned:
            return
        import_modules_of(self._package)
        self._is_scanned = True


def import_modules_of(package: str) -> None:
    """Import every module of a package, so that what registers itself there is known."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
