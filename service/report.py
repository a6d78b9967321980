"""The HTML report of a finished search: one self-contained page, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from service.figures import (
    confusion_matrix,
    convergence_curve,
    effects_over_layers,
    mask_over_layers,
    mask_versus_baselines,
    named_baselines,
)
from service.result import Estimate, SearchResult


def render_report(result: SearchResult, name: str) -> str:
    """Give the page as text.

    Args:
        result: What the search delivered.
        name: The search's name, for the title; may be empty.
    """
    environment = Environment(
        loader=PackageLoader("service"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["interval"] = format_estimate
    environment.filters["share"] = format_share
    found = {
        "name": "found mask",
        "mask": result.mask,
        "learning_rate": result.learning_rate,
        "fitness": result.fitness,
        "test": result.test,
        "gain": None,
    }
    rows = [found, *({"name": name} | dict(baseline) for name, baseline in named_baselines(result))]
    return environment.get_template("report.html").render(
        title=name or "Search",
        result=result,
        rows=rows,
        metric=result.test.metric.replace("_", " "),
        mask_figure=mask_over_layers(result),
        baselines_figure=mask_versus_baselines(result),
        effects_figure=effects_over_layers(result),
        curve_figure=convergence_curve(result),
        confusion_figure=confusion_matrix(result),
    )


def format_estimate(estimate: Estimate) -> str:
    """A mean and its interval as people read them: ``0.871 [0.852, 0.889]``."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.3f}"
    return f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def format_share(value: float | None) -> str:
    """A share as people read it, a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"
