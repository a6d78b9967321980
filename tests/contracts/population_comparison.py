"""Compares a network's candidates computed together with the same network applied to one after another."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.population.batched import is_batched
from models.population.stacked_network import StackedNetwork
from models.randomness import generator
from models.recipe.freezing import Freezing

N_CANDIDATES = 3
RELATIVE, ABSOLUTE = 1e-9, 1e-10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of two forward passes and one backward pass.

    Attributes:
        outputs: ``(P, *)`` of each pass.
        gradients: ``(P, *shape)`` by parameter.
        input_gradient: Summed over candidates; None for inputs that are no numbers.
        buffers: ``(P, *shape)`` by name, after both passes.
    """

    outputs: list[Tensor]
    gradients: State
    input_gradient: Tensor | None
    buffers: State


class AroundLayer(nn.Module):
    """A layer whose inputs may differ between candidates, and what it gives may be scaled.

    Attributes:
        gives_batched: Whether what the layer gave differed between candidates.
    """

    shift: Tensor | None

    def __init__(
        self,
        layer: nn.Module,
        call: Callable[[nn.Module, Tensor], Tensor],
        shift: Tensor | None = None,
        is_scaled: bool = False,
    ) -> None:
        super().__init__()
        self.layer, self._call = layer, call
        if shift is None or shift.is_floating_point():
            self.register_parameter("shift", None if shift is None else nn.Parameter(shift))
        else:
            self.register_buffer("shift", shift)
        self.scale = nn.Parameter(torch.ones(())) if is_scaled else None
        self.gives_batched = False

    def forward(self, x: Tensor) -> Tensor:
        result = self._call(self.layer, x if self.shift is None else x + self.shift.to(x.dtype))
        self.gives_batched = is_batched(result)
        return result if self.scale is None else self.scale * result


def population(network: nn.Module, shared: Collection[str] = ()) -> State:
    """Draw a different state for each candidate, apart from ``shared`` tensors."""
    stream = generator(0, "population")
    names = {name for name, _ in network.named_parameters()}
    names |= {name for name, _ in network.named_buffers()}
    state: State = {}
    for name, tensor in network.state_dict().items():
        if name not in names:
            # A tied tensor is in a state once.
            continue
        shape = (N_CANDIDATES, *tensor.shape)
        if not tensor.is_floating_point():
            drawn = torch.arange(N_CANDIDATES).view(-1, *[1] * tensor.ndim).expand(shape)
        elif name.endswith("running_var"):
            drawn = 0.5 + torch.rand(shape, generator=stream, dtype=tensor.dtype)
        else:
            drawn = torch.randn(shape, generator=stream, dtype=tensor.dtype) / 2
        state[name] = drawn.clone()
        if name in shared:
            state[name] = drawn[:1].expand(shape).clone()
    return state


def together(
    network: nn.Module,
    state: State,
    x: Tensor,
    *,
    channels_last: bool = False,
    shared: Collection[str] = (),
) -> Outcome:
    """Compute all candidates at once."""
    stacked = StackedNetwork(network, channels_last=channels_last)
    state = {name: tensor.clone() for name, tensor in state.items()}
    stacked.order(state)
    trained = [n for n, p in network.named_parameters() if p.requires_grad and n not in shared]
    leaves = {name: state[name].requires_grad_() for name in trained}
    frozen = frozenset(shared)
    freezing = Freezing((frozen,) * N_CANDIDATES, dict.fromkeys(frozen, (True,) * N_CANDIDATES))
    labels = torch.zeros(1, dtype=torch.int64)
    with stacked.bound(state, freezing) as bound:
        outputs, input_gradient = _two_passes(
            x, lambda inputs: bound.run(Examples({"x": inputs}, labels))
        )
    return Outcome(
        outputs,
        {name: _gradient(leaf) for name, leaf in leaves.items()},
        input_gradient,
        {name: state[name] for name, _ in network.named_buffers() if name in state},
    )


def one_by_one(
    network: nn.Module, state: State, x: Tensor, *, shared: Collection[str] = ()
) -> Outcome:
    """Compute one candidate after another in a network of its own, each with the same draws."""
    candidates = [copy.deepcopy(network) for _ in range(N_CANDIDATES)]
    for row, candidate in enumerate(candidates):
        # A tied tensor is in a state once.
        own = {name: tensor[row] for name, tensor in state.items()}
        candidate.load_state_dict(own, strict=False)

    def run(inputs: Tensor) -> Tensor:
        draws = torch.get_rng_state()
        rows = []
        for candidate in candidates:
            torch.set_rng_state(draws)
            rows.append(candidate(inputs))
        return torch.stack(rows)

    outputs, input_gradient = _two_passes(x, run)
    parameters = [dict(candidate.named_parameters()) for candidate in candidates]
    buffers = [dict(candidate.named_buffers()) for candidate in candidates]
    trained = [n for n, p in parameters[0].items() if p.requires_grad and n not in shared]
    return Outcome(
        outputs,
        {name: torch.stack([_gradient(one[name]) for one in parameters]) for name in trained},
        input_gradient,
        {n: torch.stack([one[n] for one in buffers]) for n in buffers[0] if n in state},
    )


def assert_agree(
    network: nn.Module,
    x: Tensor,
    *,
    channels_last: bool = False,
    shared: Collection[str] = (),
) -> Outcome:
    """Compute a network both ways and compare everything; gives what was computed at once."""
    network = network.to(x.dtype) if x.is_floating_point() else network.double()
    state = population(network, shared)
    expected = one_by_one(copy.deepcopy(network), state, x, shared=shared)
    found = together(network, state, x, channels_last=channels_last, shared=shared)
    for number, outputs in enumerate(expected.outputs):
        _assert_close({"output": found.outputs[number]}, {"output": outputs})
    _assert_close(found.gradients, expected.gradients)
    _assert_close(found.buffers, expected.buffers)
    if found.input_gradient is not None and expected.input_gradient is not None:
        _assert_close({"input": found.input_gradient}, {"input": expected.input_gradient})
    return found


def _two_passes(x: Tensor, run: Callable[[Tensor], Tensor]) -> tuple[list[Tensor], Tensor | None]:
    """Outputs of two passes, and the gradient of the input."""
    torch.manual_seed(0)
    inputs = x.clone().requires_grad_(x.is_floating_point())
    outputs = [run(inputs), run(inputs * 2 if x.is_floating_point() else inputs)]
    total = sum((_weighted(output) for output in outputs), torch.zeros(()))
    if total.requires_grad:
        total.backward()
    return [output.detach() for output in outputs], inputs.grad


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _weighted(output: Tensor) -> Tensor:
    """A sum in which every number has a weight of its own, so that each gradient is another."""
    weights = torch.randn(output.shape, generator=generator(0, "weights"), dtype=output.dtype)
    return (output * weights).sum()


def _assert_close(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=RELATIVE, atol=ABSOLUTE, msg=partial("{}: {}".format, name)
        )
