"""Networks that a user's own function builds: what is allowed, and what becomes of its mistakes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from models.data.shapes import DataShape
from models.families.python import PythonConfig
from models.family import ModelFamily, build_family
from models.inputs import InputFolder
from models.surroundings import Surroundings
from search.errors import InvalidInputError

SHAPE = DataShape({"x": (4,)}, 3)
MODULE = """
from os import system
from torch import nn
from search.errors import InvalidInputError

class Net(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.head = nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.head(x)

class Deaf(Net):
    def forward(self, y):
        return self.head(y)

class Careful(Net):
    def forward(self, x):
        if float(x.sum()) != 0:
            raise ValueError("never")
        return self.head(x)

def build(shape, extra=0):
    return Net(shape.inputs["x"][0], shape.n_classes + extra)

def careful(shape):
    return Careful(4, shape.n_classes)

def deaf(shape):
    return Deaf(4, shape.n_classes)

def text(shape):
    return "no module"

def empty(shape):
    return nn.ReLU()

def broken(shape):
    raise KeyError("depth")

def picky(shape):
    raise InvalidInputError("model.options.width", 3, "an even width")

def _private(shape):
    return build(shape)

nothing = 3
"""
Open = Callable[..., ModelFamily]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the family with a module of the user's on Python's path."""
    (tmp_path / "ours.py").write_text(MODULE)
    (tmp_path / "unhappy.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("ours", "unhappy"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def open_family(
        factory: str, *allowed: str, options: dict[str, object] | None = None
    ) -> ModelFamily:
        config = PythonConfig(factory=factory, options=options or {})
        surroundings = Surroundings(InputFolder(tmp_path), factories=allowed or (factory,))
        return build_family(config, surroundings)

    return open_family


def test_the_function_is_given_shape_and_options(opened: Open) -> None:
    network = opened("ours:build").build(SHAPE)
    assert network(x=torch.zeros(2, 4)).shape == (2, 3)
    with pytest.raises(InvalidInputError, match=r"gives \(2, 4\) for 2 samples.*\(2, 3\)"):
        opened("ours:build", options={"extra": 1}).build(SHAPE)


def test_every_function_of_a_module_can_be_allowed(opened: Open) -> None:
    assert isinstance(opened("ours:build", "other:build", "ours:*").build(SHAPE), nn.Module)


@pytest.mark.parametrize(
    ("factory", "allowed"),
    [
        ("ours:build", ("ours:other", "our:*")),
        ("os:system", ("ours:*",)),
        ("ours:_private", ("ours:*",)),
    ],
)
def test_what_the_operator_does_not_allow_is_refused(
    factory: str, allowed: tuple[str, ...], opened: Open
) -> None:
    with pytest.raises(InvalidInputError, match="TRANSFERMASK_ALLOWED_FACTORIES") as caught:
        opened(factory, *allowed)
    assert caught.value.field == "model.factory"


def test_what_a_module_has_imported_is_not_allowed_with_it(opened: Open) -> None:
    with pytest.raises(InvalidInputError, match="a function 'system' that ours defines"):
        opened("ours:system", "ours:*")


@pytest.mark.parametrize("factory", ["ours", "ours.build", "ours:", "../ours:build", "ours:a.b"])
def test_what_is_no_name_of_a_function_is_refused(factory: str) -> None:
    with pytest.raises(ValueError, match="factory"):
        PythonConfig(factory=factory)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("ours:missing", "a function 'missing' that ours defines"),
        ("ours:nothing", "a function 'nothing'"),
        ("unhappy:build", "importing unhappy raised ModuleNotFoundError: No module named"),
        ("absent:build", "importing absent raised ModuleNotFoundError"),
    ],
)
def test_a_function_that_is_not_there_is_refused(factory: str, words: str, opened: Open) -> None:
    with pytest.raises(InvalidInputError, match=words):
        opened(factory)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken", "the factory raised KeyError: 'depth'"),
        ("text", r"gives str given, expected .* torch.nn.Module"),
        ("empty", "no parameter"),
        ("deaf", "the module's forward raised TypeError: .*'x'"),
        ("picky", "model.options.width: 3 given, expected an even width"),
    ],
)
def test_mistakes_in_the_user_s_code_are_told_in_its_own_words(
    name: str, words: str, opened: Open
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        opened(f"ours:{name}").build(SHAPE)


def test_options_that_the_function_does_not_take_are_refused(opened: Open) -> None:
    with pytest.raises(InvalidInputError, match="unexpected keyword argument 'depth'"):
        opened("ours:build", options={"depth": 3}).build(SHAPE)


def test_code_that_looks_at_numbers_is_tried_where_there_are_some(opened: Open) -> None:
    family = opened("ours:careful")
    with torch.device("meta"):
        assert family.build(SHAPE).get_parameter("head.weight").is_meta
    assert family.build(SHAPE).training


def test_trying_a_network_takes_no_draw(opened: Open) -> None:
    torch.manual_seed(0)
    opened("ours:build").build(SHAPE)
    after = torch.rand(())
    torch.manual_seed(0)
    nn.Linear(4, 3)
    assert torch.equal(torch.rand(()), after)
