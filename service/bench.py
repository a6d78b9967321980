"""What ``transfermask bench`` does: time the plans for a spec here, and estimate the whole search by each."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.devices import describe_device, pick_device
from models.fixed_target import FixedTarget
from models.plans.probe import ProbeOutcome
from models.recipe.teachers import untaught
from models.surroundings import Surroundings
from service.composition import build_task, check_spec, draw_up, read_data
from service.planning import Workers, measure_plans
from service.progress import planned_steps
from service.spec import SearchSpec


def run_bench(spec: SearchSpec, surroundings: Surroundings, console: Console) -> None:
    """Time plans and show the table.

    No network is loaded or trained for it: what the weights are changes no time.

    Raises:
        InvalidInputError: The spec or its data do not allow the search.
    """
    check_spec(spec, surroundings)
    blueprint = draw_up(spec, surroundings)
    weights = blueprint.family.build(blueprint.shape).state_dict()
    data = read_data(spec, surroundings)
    task = untaught(build_task(spec, blueprint, data, weights, FixedTarget(weights)))
    device, workers = pick_device(), Workers(task, artifacts=None)
    try:
        with console.status("timing training steps"):
            outcome = measure_plans(task, spec, device, workers, has_weights=False)
    finally:
        workers.close()
    steps = planned_steps(spec, blueprint.genes.n_genes)
    console.print(render_bench(outcome, steps, describe_device(device)))


def render_bench(outcome: ProbeOutcome, steps: dict[str, int], device: str) -> RenderableType:
    """Render the plans tried, fastest first, with the time that each phase takes at most; then the plans not taken."""
    total = sum(steps.values())
    table = Table(title=f"Plans on {device}, fastest first")
    table.add_column("plan")
    table.add_column("ms per candidate-step", justify="right")
    table.add_column("whole search", justify="right")
    for label, taken in sorted(outcome.milliseconds.items(), key=lambda entry: entry[1]):
        style = "bold" if label == outcome.plan.label else ""
        table.add_row(Text(label), f"{taken:.3f}", _duration(taken * total), style=style)
    lines: list[RenderableType] = [table]
    lines += [Text(f"not taken: {label}: {why}") for label, why in outcome.refusals.items()]
    taken = outcome.milliseconds[outcome.plan.label]
    phases = ", ".join(f"{phase} {_duration(taken * count)}" for phase, count in steps.items())
    lines += [
        Text(
            f"At most {total:,} training steps; by the fastest plan: {phases}. Validation comes on top."
        ),
        Text(f'To pin it: "plan": {outcome.plan.model_dump_json()}'),
    ]
    return Group(*lines)


def _duration(milliseconds: float) -> str:
    return str(timedelta(seconds=round(milliseconds / 1000)))
