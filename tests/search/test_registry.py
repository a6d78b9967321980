"""Tests of the plug-in registry."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from search.errors import DuplicatePluginError, UnknownPluginError
from search.optimizers import OPTIMIZERS
from search.registry import PluginConfig, Registry


class _Config(PluginConfig):
    kind: Literal["twice"] = "twice"


def test_scanning_finds_every_file_of_the_package() -> None:
    assert {"annealing", "exhaustive", "genetic", "random"} <= set(OPTIMIZERS.names())


def test_a_second_plugin_of_the_same_kind_is_refused_with_both_modules() -> None:
    registry: Registry[object] = Registry("thing", "search.optimizers")
    registry.register(_Config)(type("First", (), {"__module__": "first"}))
    with pytest.raises(
        DuplicatePluginError, match="'twice' is registered by both first and second"
    ):
        registry.register(_Config)(type("Second", (), {"__module__": "second"}))


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownPluginError, match=r"'genetics' given, expected one of: .*genetic"):
        OPTIMIZERS.plugin("genetics")


def test_the_union_parses_by_kind_and_refuses_unknown_keys() -> None:
    adapter = TypeAdapter(OPTIMIZERS.union())
    parsed = adapter.validate_python({"kind": "genetic", "population_size": 10})
    assert parsed == OPTIMIZERS.config("genetic").model_validate({"population_size": 10})
    with pytest.raises(ValidationError, match="popsize"):
        adapter.validate_python({"kind": "genetic", "popsize": 10})
