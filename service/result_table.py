"""The result as people read it in a terminal: which layers, what it gains, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Json = Mapping[str, Any]

BASELINES = {
    "keep_all": "keep all (train from the target)",
    "transfer_all": "transfer all (fine-tune the source)",
    "best_prefix": "best prefix (transfer the early layers)",
}


def render_result(result: Json, files: Mapping[str, Path | str]) -> RenderableType:
    """Lay out the result document.

    Args:
        result: The result of the HTTP contract, as JSON.
        files: What was saved, and where.
    """
    parts: list[RenderableType] = [_gene_table(result), _comparison(result)]
    # A result that an older version stored knows of one task alone.
    if result["test"].get("source") is not None:
        parts.append(_both_tasks(result))
    parts.append(_summary(result))
    parts += [Text(f"{what}: {where}", overflow="fold") for what, where in files.items()]
    return Group(*parts)


def _gene_table(result: Json) -> Table:
    table = Table(title=f"Mask {result['mask']}   1 = keep the target's, 0 = transfer the source's")
    table.add_column("gene")
    table.add_column("decision")
    table.add_column("parameters", justify="right")
    table.add_column("effect of keeping", justify="right")
    for gene in result["genes"]:
        decision = Text("1 keep", "cyan") if gene["keep"] else Text("0 transfer", "magenta")
        effect = gene["effect"]
        table.add_row(
            Text(gene["name"]),
            decision,
            f"{gene['parameters']:,}",
            "-" if effect is None else _interval(effect, signed=True),
        )
    return table


def _comparison(result: Json) -> Table:
    test = result["test"]
    table = Table(
        title=f"{test['metric']} on {test['samples']} test samples, {test['replicates']} replicates"
    )
    table.add_column("mask")
    for column in ("validation (optimistic)", "test, 95% interval", "gain of the found mask"):
        table.add_column(column, justify="right")
    table.add_row(
        Text(f"found  {result['mask']}", "bold"),
        _interval(result["fitness"]),
        Text(_interval(test), "bold"),
        "",
    )
    for name, label in BASELINES.items():
        baseline = result["baselines"][name]
        if baseline is None:
            table.add_row(label, "-", "-", "-")
            continue
        table.add_row(
            label,
            _interval(baseline["fitness"]),
            _interval(baseline["test"]),
            _interval(baseline["gain"], signed=True),
        )
    return table


def _both_tasks(result: Json) -> Table:
    """Each task alone, where the test score combines two."""
    target, source = result["test"]["target"], result["test"]["source"]
    table = Table(title="each task alone, on its test samples")
    table.add_column("mask")
    table.add_column(f"{target['weight']:.3g} x target {target['metric']}", justify="right")
    table.add_column(f"{source['weight']:.3g} x source {source['metric']}", justify="right")
    rows = {f"found  {result['mask']}": result["test"]}
    for name, label in BASELINES.items():
        baseline = result["baselines"][name]
        if baseline is not None:
            rows[label] = baseline["test"]
    for label, test in rows.items():
        table.add_row(Text(label), _interval(test["target"]), _interval(test["source"]))
    return table


def _summary(result: Json) -> Text:
    lines = (
        f"Verdict: {result['verdict']['text']}",
        f"Delivered weights: {result['test']['delivered']:.3f} on the test split. "
        f"{result['evaluations']} evaluations in {result['seconds']:.0f} s; "
        f"the search stopped because of: {result['stop_reason']}.",
    )
    return Text("\n".join(lines))


def _interval(estimate: Json, *, signed: bool = False) -> str:
    """Format a mean with its interval, which is missing where there is one replicate only."""
    form = "+.3f" if signed else ".3f"
    mean = format(estimate["mean"], form)
    if estimate["low"] is None or estimate["high"] is None:
        return mean
    return f"{mean}  [{estimate['low']:{form}}, {estimate['high']:{form}}]"
