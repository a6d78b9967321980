"""Tests of replaying training steps; without a GPU, stand-ins take the place of what captures and replays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from models.plans.plan import Plan
from models.population import LayoutName, fused_training
from models.population.captured_step import WARM_UP_STEPS, CapturedStep, Feed
from tests.models.recipe_cases import LAYOUTS, SmallConvolution, masks, recipe_task, tuned
from tests.models.small_task import candidates, evaluator, family_task

STEPS = torch.arange(20).view(5, 4)


class StandInGraph:
    """Replays by running the step again."""

    step: Callable[[], None]

    def replay(self) -> None:
        self.step()


@pytest.fixture
def _captures_by_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def wait_stream(self, _: object) -> None:
            """Do nothing: everything runs in order."""

    @contextmanager
    def block(_: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(torch.cuda, "Stream", lambda _: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream())
    monkeypatch.setattr(torch.cuda, "stream", block)
    monkeypatch.setattr(torch.cuda, "graph", block)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", StandInGraph)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, _: torch.set_rng_state(state))


def trained(make: Callable[..., torch.optim.Optimizer], *, is_captured: bool) -> list[Tensor]:
    """Weights and statistics after some steps with dropout."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    x = torch.randn(20, 3)
    optimizer = make(network.parameters(), lr=0.1)

    def step(feed: dict[str, Tensor]) -> None:
        optimizer.zero_grad()
        network(x[feed["indices"]]).square().sum().backward()
        optimizer.step()

    changed = [*network.parameters(), *network.buffers()]
    run: Callable[[dict[str, Tensor]], None] = step
    if is_captured:
        captured = CapturedStep(step, {"indices": STEPS[0]}, changed, optimizer)
        captured._graph.step = lambda: step(captured._feed)  # type: ignore[attr-defined]
        run = captured
    for indices in STEPS:
        run({"indices": indices})
    return changed


@pytest.mark.usefixtures("_captures_by_stand_in")
@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD])
def test_warming_up_leaves_no_trace(make: Callable[..., torch.optim.Optimizer]) -> None:
    for eager, captured in zip(
        trained(make, is_captured=False), trained(make, is_captured=True), strict=True
    ):
        torch.testing.assert_close(captured, eager, rtol=0, atol=0)


class ReplayedStep(CapturedStep):
    """A step that its stand-in for a graph knows."""

    captures = 0

    def __init__(
        self,
        step: Callable[[Feed], None],
        feed: Feed,
        changed: Sequence[Tensor],
        optimizer: torch.optim.Optimizer | None,
    ) -> None:
        super().__init__(step, feed, changed, optimizer)
        self._graph.step = lambda: step(self._feed)  # type: ignore[attr-defined]
        ReplayedStep.captures += 1


RECIPES: dict[str, dict[str, object]] = {
    "augmentation": {"augmentation": [{"kind": "flip"}, {"kind": "noise"}], "sampling": "balanced"},
    "schedule": {
        "schedule": {"kind": "cosine", "warm_up": 0.3},
        "kind": "partial",
        "freeze": "kept",
        "transferred_rate": 0.3,
    },
    "stopping": {"early_stopping": {"interval": 2, "patience": 1}, "learning_rate": 0.3},
    "rules": {"l1": 0.01, "l2_sp": 1.0, "gradient_norm": 0.1, "optimizer": {"kind": "sgd"}},
    "statistics": {"batch_norm": {"reestimate": "before", "frozen": True}, "dropout": 0.5},
    "teacher": {"kind": "distill", "teacher_steps": 3, "augmentation": [{"kind": "rotation"}]},
    "probe": {"kind": "linear_probe_then_full", "optimizer": {"kind": "rmsprop", "momentum": 0.5}},
}


@pytest.mark.usefixtures("_captures_by_stand_in")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_recipe_of_captured_steps_is_that_of_eager_ones(
    recipe: str, layout: LayoutName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused_training, "CapturedStep", ReplayedStep)
    monkeypatch.setattr(ReplayedStep, "captures", 0)
    task = recipe_task(SmallConvolution, **RECIPES[recipe])
    eager, captured = (
        tuned(
            task,
            layout,
            masks(task),
            [0.3, 0.01, 0.1, 0.01],
            steps=4 * WARM_UP_STEPS,
            captured=is_captured,
        )
        for is_captured in (False, True)
    )
    assert ReplayedStep.captures > 0
    # Rates of captured steps are tensors in single precision.
    for name, tensor in eager.items():
        torch.testing.assert_close(captured[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("layout", ["stacked", "vmap", "loop"])
def test_captured_steps_train_as_eager_ones_do(layout: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    task = family_task("small_cnn", {"width": 4, "hidden": 8, "norm": "batch"}, steps=9)
    chunks = (1,) if layout == "loop" else (1, 4)
    asked = candidates(task, 3 * WARM_UP_STEPS)
    losses = []
    for captured in (False, True):
        plan = Plan.model_validate(
            {"layout": layout, "chunks": chunks, "captured": captured, "threads": 1}
        )
        measures = evaluator(task, plan, device=torch.device("cuda", 0))
        losses.append(
            [
                e.loss
                for size in range(0, 4, chunks[-1])
                for e in measures.evaluate(asked[size : size + chunks[-1]])
            ]
        )
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
