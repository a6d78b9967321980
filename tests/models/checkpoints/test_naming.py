"""Tests of the rule that leads names of a checkpoint to those of a network."""

from __future__ import annotations

import time

import pytest

from models.checkpoints.naming import Naming, NamingOptions, NamingRule, Shape, match_names
from search.errors import InvalidInputError

PREFIXES = ("module.", "model.", "backbone.")
NETWORK: dict[str, Shape] = {
    "bert.embeddings.weight": (9, 4),
    "bert.layer.0.weight": (4, 4),
    "bert.layer.0.bias": (4,),
    "head.weight": (2, 4),
}


def matched(
    given: dict[str, Shape],
    rename: dict[str, str] | None = None,
    prefixes: tuple[str, ...] = PREFIXES,
    network: dict[str, Shape] | None = None,
    aliases: dict[str, str] | None = None,
) -> Naming:
    options = NamingOptions(prefixes, rename or {}, "source")
    return match_names(given, network or NETWORK, aliases or {}, options)


def under(prefix: str, names: dict[str, Shape]) -> dict[str, Shape]:
    return {prefix + name: shape for name, shape in names.items()}


def bare(head: str = "head.") -> dict[str, Shape]:
    """The encoder alone, as a bare model has it."""
    return {
        name.removeprefix("bert."): shape
        for name, shape in NETWORK.items()
        if not name.startswith(head)
    }


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (NETWORK, NamingRule()),
        (under("module.", NETWORK), NamingRule(("module.",))),
        (under("model.", NETWORK), NamingRule(("model.",))),
        (under("backbone.", NETWORK), NamingRule(("backbone.",))),
        (under("module.model.", NETWORK), NamingRule(("module.", "model."))),
        (under("model.module.module.", NETWORK), NamingRule(("model.", "module.", "module."))),
        (bare(), NamingRule(added="bert.")),
        (under("module.", bare()), NamingRule(("module.",), "bert.")),
        (bare() | {"head.weight": (2, 4)}, NamingRule(added="bert.")),
        (under("model.", NETWORK) | {"epoch.weight": (1,)}, NamingRule(("model.",))),
        ({"something": (1,)}, NamingRule()),
        ({}, NamingRule()),
    ],
)
def test_the_rule_with_the_most_tensors_is_found(given: dict[str, Shape], rule: NamingRule) -> None:
    naming = matched(given)
    assert naming.rule == rule
    assert naming.names.keys() == given.keys()
    if len(given) > 1:
        assert {new for new in naming.names.values() if new in NETWORK} >= {
            name for name in NETWORK if name.startswith("bert.")
        }


def test_a_prefix_that_the_network_has_too_stays() -> None:
    network = under("model.", NETWORK)
    assert matched(network, network=network).rule == NamingRule()
    wrapped = matched(under("model.", network), network=network)
    assert wrapped.rule == NamingRule(("model.",))


def test_a_prefix_that_is_not_allowed_stays() -> None:
    assert matched(under("module.", NETWORK), prefixes=()).rule == NamingRule()
    assert matched(under("net.", NETWORK), prefixes=("net.",)).rule == NamingRule(("net.",))


def test_shapes_decide_between_two_places() -> None:
    network: dict[str, Shape] = {"left.weight": (3,), "right.weight": (5,)}
    assert matched({"weight": (5,)}, network=network).names == {"weight": "right.weight"}
    assert matched({"weight": (3,)}, network=network).names == {"weight": "left.weight"}


def test_names_are_matched_even_where_no_shape_is() -> None:
    wide = {name: (*shape, 2) for name, shape in under("module.", NETWORK).items()}
    assert set(matched(wide).names.values()) == set(NETWORK)


def test_the_rule_does_not_depend_on_the_order_of_the_checkpoint() -> None:
    network: dict[str, Shape] = {"b.x": (1,), "a.x": (1,)}
    rules = [
        matched(dict(pairs), network=network).rule
        for pairs in ([("x", (1,)), ("y", (1,))], [("y", (1,)), ("x", (1,))])
    ]
    assert rules == [NamingRule(added="a.")] * 2


def test_what_the_user_renames_stays_and_the_rest_follows_the_rule() -> None:
    given = under("module.", bare()) | {"fc.weight": (2, 4)}
    naming = matched(given, {"fc.*": "head.*"})
    assert naming.rule == NamingRule(("module.",), "bert.")
    assert (set(naming.names.values()), naming.renamed) == (set(NETWORK), 1)


def test_names_that_were_renamed_get_the_prefix_too() -> None:
    given = {name.replace("weight", "gamma"): shape for name, shape in bare().items()}
    naming = matched(given, {"*.gamma": "*.weight"})
    assert naming.rule == NamingRule(added="bert.")
    assert naming.names["embeddings.gamma"] == "bert.embeddings.weight"


def test_a_renaming_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"source\.rename: a map to 'haed\.weight'"):
        matched(NETWORK, {"head.*": "haed.*"})


@pytest.mark.parametrize(
    ("given", "rename"),
    [
        (under("module.", NETWORK) | {"head.weight": (2, 4)}, {}),
        (NETWORK | {"fc.weight": (2, 4)}, {"fc.*": "head.*"}),
        (bare() | {"a.weight": (2, 4), "b.weight": (2, 4)}, {"a.*": "head.*", "b.*": "head.*"}),
    ],
)
def test_two_tensors_of_one_name_are_refused(
    given: dict[str, Shape], rename: dict[str, str]
) -> None:
    with pytest.raises(InvalidInputError, match=r"source\.path: .* both .* are head\.weight"):
        matched(given, rename)


def test_two_names_that_the_network_lacks_may_fall_together() -> None:
    given = under("module.", NETWORK) | {"module.step": (1,), "step": (1,)}
    assert matched(given).rule == NamingRule(("module.",))


def test_a_tied_tensor_is_complete_under_any_of_its_names() -> None:
    network: dict[str, Shape] = {"embed.weight": (9, 4), "head.weight": (9, 4)}
    naming = matched(
        {"head.weight": (9, 4)}, network=network, aliases={"head.weight": "embed.weight"}
    )
    assert naming.rule == NamingRule()


def test_huge_hostile_names_take_seconds_at_most() -> None:
    network: dict[str, Shape] = {f"net.{n}.a.b.c.weight": (1,) for n in range(200)}
    prefixes = tuple(f"{letter}." for letter in "abcdefgh")
    given: dict[str, Shape] = {
        f"{'abcdefgh'[n % 8]}." * 50 + f"{n}.weight": (1,) for n in range(10_000)
    }
    started = time.process_time()
    assert matched(given, prefixes=prefixes, network=network).rule == NamingRule()
    assert time.process_time() - started < 5
