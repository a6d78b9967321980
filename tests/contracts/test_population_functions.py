"""What every population function promises: the numbers and draws of the ordinary one, candidate by candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.population.population_function import population_functions
from models.randomness import generator
from tests.contracts.population_comparison import (
    AroundLayer,
    assert_agree,
    one_by_one,
    population,
    together,
)

IMAGES, VECTORS, HEADS = (5, 4, 6, 8), (5, 8), (3, 2, 5, 4)


class Owner(nn.Module):
    """Tensors of each candidate's own, for functions that take them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8, 8))
        self.scores = nn.Parameter(torch.zeros(5, 5))
        self.slopes = nn.Parameter(torch.zeros(4))


Call = Callable[[Owner, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to call a function."""

    shape: tuple[int, ...]
    call: Call

    def network(self, *, differs: bool) -> AroundLayer:
        """A network of one call, whose inputs are the same for all candidates or differ."""
        shift = torch.zeros(self.shape) if differs else None
        return AroundLayer(Owner(), self._call, shift)

    def inputs(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Draw inputs."""
        return torch.randn(self.shape, generator=generator(0, "inputs"), dtype=dtype)

    def _call(self, layer: nn.Module, x: Tensor) -> Tensor:
        assert isinstance(layer, Owner)
        return self.call(layer, x)


def _calls(
    function: Callable[..., Tensor], shapes: list[tuple[int, ...]], *options: Mapping[str, Any]
) -> list[Case]:
    """Call a function of one tensor, which is given by position and by name."""

    def by_position(one: Mapping[str, Any]) -> Call:
        return lambda _, x: function(x, **one)

    def by_name(one: Mapping[str, Any]) -> Call:
        return lambda _, x: function(input=x, **one)

    cases = [Case(shape, by_position(one)) for shape in shapes for one in options]
    return [*cases, Case(shapes[0], by_name(options[0]))]


def _masked(x: Tensor) -> Tensor:
    """A mask that depends on what is masked; one query may attend to nothing."""
    return (x @ x.transpose(-2, -1) > 0).index_fill(-2, torch.tensor([1]), False)


def _own_mask(owner: Owner) -> Tensor:
    return (owner.scores > 0) | torch.eye(5, dtype=torch.bool)


_attends = functional.scaled_dot_product_attention
FIXED_MASK = torch.ones(5, 5, dtype=torch.bool).tril(1)
PADDING = torch.arange(15).view(3, 1, 1, 5) % 4 != 3
ATTENTION = [
    Case(HEADS, lambda _, x: _attends(x, x, x)),
    Case(HEADS, lambda _, x: _attends(query=x, key=x * 2, value=x, scale=0.3)),
    Case(HEADS, lambda _, x: _attends(x[:, :, :3], x, x[..., :2])),
    Case(HEADS, lambda _, x: _attends(x, x, x, is_causal=True)),
    Case(HEADS, lambda _, x: _attends(x, x, x, attn_mask=FIXED_MASK)),
    Case(HEADS, lambda _, x: _attends(x, x, x, attn_mask=PADDING)),
    Case(HEADS, lambda _, x: _attends(x, x, x, attn_mask=torch.where(PADDING, 0.0, -3.0).to(x))),
    Case(HEADS, lambda _, x: _attends(x, x, x, attn_mask=_masked(x))),
    Case(HEADS, lambda owner, x: _attends(x, x, x, attn_mask=_own_mask(owner))),
    Case(HEADS, lambda owner, x: _attends(x, x, x, attn_mask=owner.scores.to(x))),
    Case(HEADS, lambda owner, x: _attends(x, x * owner.slopes.to(x), x)),
    Case(HEADS, lambda _, x: _attends(x, x[:1], x[:1])),
    Case((3, 4, 5, 4), lambda _, x: _attends(x, x[:, :2], x[:, :2], enable_gqa=True)),
    Case((3, 5, 4), lambda _, x: _attends(x, x, x, is_causal=True)),
    Case((5, 4), lambda _, x: _attends(x, x, x, attn_mask=FIXED_MASK)),
    Case((2, 2, 3, 5, 4), lambda _, x: _attends(x, x, x, attn_mask=FIXED_MASK)),
    Case(HEADS, lambda _, x: _attends(x, x, x, dropout_p=0.5)),
    Case(HEADS, lambda _, x: _attends(x, x, x, dropout_p=0.5, is_causal=True, scale=0.3)),
    Case(HEADS, lambda _, x: _attends(x, x, x, attn_mask=PADDING, dropout_p=0.3)),
    Case(HEADS, lambda _, x: _attends(x, x, x, attn_mask=_masked(x), dropout_p=0.3)),
    Case(HEADS, lambda owner, x: _attends(x, x, x, attn_mask=owner.scores.to(x), dropout_p=0.5)),
    Case((3, 4, 5, 4), lambda _, x: _attends(x, x[:, :2], x[:, :2], None, 0.5, enable_gqa=True)),
]


def _whole_attention(owner: Owner, x: Tensor, **options: Any) -> Tensor:
    weight = torch.cat([owner.weight, owner.weight.T, -owner.weight])
    result: Tensor = functional.multi_head_attention_forward(
        x, x, x, 8, 2, weight, None, None, None, False, 0.5, owner.weight, None, **options
    )[0]
    return result


def _looked_up(x: Tensor, table: Tensor, **options: Any) -> Tensor:
    """Rows of a table by indices that depend on the input."""
    indices = (4 * x.detach()).abs().long() % 8
    return functional.embedding(indices, table, **options) * x.unsqueeze(-1)


POOLED: list[tuple[int, ...]] = [IMAGES, IMAGES[1:]]
# By the ordinary function.
CASES: Mapping[Any, list[Case]] = {
    functional.max_pool2d: _calls(
        functional.max_pool2d,
        POOLED,
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel_size": (2, 1), "dilation": 2},
    ),
    functional.avg_pool2d: _calls(
        functional.avg_pool2d,
        POOLED,
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
    ),
    functional.adaptive_avg_pool2d: _calls(
        functional.adaptive_avg_pool2d,
        POOLED,
        {"output_size": 1},
        {"output_size": (3, None)},
        {"output_size": (4, 5)},
    ),
    functional.adaptive_max_pool2d: _calls(
        functional.adaptive_max_pool2d, POOLED, {"output_size": 1}, {"output_size": (4, 5)}
    ),
    functional.interpolate: [
        *_calls(
            functional.interpolate,
            [IMAGES],
            {"scale_factor": 2},
            {"size": (4, 9), "mode": "bilinear", "align_corners": True},
            {"scale_factor": 1.5, "mode": "bicubic"},
            {"size": (3, 3), "mode": "area"},
        ),
        *_calls(functional.interpolate, [(5, 4, 6)], {"size": 4, "mode": "linear"}),
        *_calls(functional.interpolate, [(2, 3, 3, 4, 5)], {"size": 4, "mode": "trilinear"}),
    ],
    functional.dropout: [
        *_calls(functional.dropout, [VECTORS, IMAGES], {"p": 0.3}, {}, {"p": 1.0}, {"p": 0.0}),
        Case(VECTORS, lambda _, x: functional.dropout(x, training=False)),
        Case(VECTORS, lambda _, x: functional.dropout(x + 1, inplace=True)),
        # In another order in memory than that of the axes.
        Case(IMAGES, lambda _, x: functional.dropout((x + 1).transpose(1, 2), 0.3)),
    ],
    functional.prelu: [
        Case(IMAGES, lambda owner, x: functional.prelu(x, owner.slopes.to(x))),
        Case((5, 4), lambda owner, x: functional.prelu(x, owner.slopes.to(x))),
        Case((5,), lambda owner, x: functional.prelu(x, owner.slopes[:1].to(x))),
        Case(IMAGES, lambda _, x: functional.prelu(x, torch.full((4,), 0.3).to(x))),
    ],
    functional.linear: [
        Case(VECTORS, lambda owner, x: functional.linear(x, owner.weight.to(x))),
        Case((2, 3, 8), lambda o, x: functional.linear(x, o.weight.to(x), o.weight[0].to(x))),
        Case(
            (8,), lambda o, x: functional.linear(x, bias=o.weight[0].to(x), weight=o.weight.to(x))
        ),
        Case(VECTORS, lambda o, x: functional.linear(x, torch.eye(8).to(x), o.weight[0].to(x))),
        Case(VECTORS, lambda _, x: functional.linear(x, torch.ones(3, 8).to(x))),
    ],
    functional.embedding: [
        Case(VECTORS, lambda o, x: _looked_up(x, o.weight.to(x))),
        Case(VECTORS, lambda o, x: _looked_up(x, o.weight.to(x), padding_idx=1)),
        Case((8,), lambda o, x: _looked_up(x, o.weight.to(x), padding_idx=-8)),
        Case(VECTORS, lambda _, x: _looked_up(x, torch.eye(8).to(x), padding_idx=2)),
    ],
    torch._weight_norm: [
        Case((4, 6, 8), lambda o, x: torch._weight_norm(x, o.slopes.to(x).view(4, 1, 1))),
        Case((6, 4), lambda o, x: torch._weight_norm(x, g=o.slopes.to(x).view(1, 4), dim=1)),
        Case((6, 4), lambda o, x: torch._weight_norm(x, o.slopes[0].to(x), -1)),
    ],
    functional.scaled_dot_product_attention: ATTENTION,
    functional.multi_head_attention_forward: [
        Case((5, 3, 8), _whole_attention),
        Case((5, 3, 8), lambda owner, x: _whole_attention(owner, x, training=False)),
        Case((5, 3, 8), lambda owner, x: _whole_attention(owner, x, need_weights=False)),
    ],
}
NAMES = [function.__name__ for function, cases in CASES.items() for _ in cases]
every_case = pytest.mark.parametrize(
    "case", [case for cases in CASES.values() for case in cases], ids=NAMES
)


def test_no_function_is_forgotten() -> None:
    assert set(CASES) == set(population_functions())


@every_case
def test_a_population_equals_its_candidates(case: Case) -> None:
    for differs in (True, False):
        assert_agree(case.network(differs=differs), case.inputs())


# The types of inputs by turns.
@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        (case, (torch.float32, torch.bfloat16)[i % 2])
        for cases in CASES.values()
        for i, case in enumerate(cases)
    ],
    ids=NAMES,
)
def test_lower_precision_is_where_the_ordinary_function_has_it(
    case: Case, dtype: torch.dtype
) -> None:
    network, x = case.network(differs=True).float(), case.inputs(dtype)
    state = population(network)
    with torch.autocast("cpu", torch.bfloat16):
        expected = one_by_one(network, state, x).outputs[0]
        found = together(network, state, x).outputs[0]
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("function", CASES, ids=lambda function: function.__name__)
def test_it_stands_in_where_candidates_differ(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    known: Any = population_functions()
    own = known[function]

    def watched(*args: Any, **options: Any) -> Any:
        calls.append(function)
        return own(*args, **options)

    monkeypatch.setitem(known, function, watched)
    case = CASES[function][0]
    network = case.network(differs=True).double()
    together(network, population(network), case.inputs())
    assert calls == [function] * 2


def test_a_network_s_own_transforms_are_left_alone() -> None:
    def pools_inside_another_vmap(_: nn.Module, x: Tensor) -> Tensor:
        return torch.func.vmap(lambda one: functional.max_pool2d(one, 2), in_dims=1)(x)

    assert_agree(
        AroundLayer(Owner(), pools_inside_another_vmap, torch.zeros(IMAGES)).double(),
        torch.randn(IMAGES).double(),
    )
