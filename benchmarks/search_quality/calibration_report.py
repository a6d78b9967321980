"""Counting how often stated intervals contain the truth, and saying it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scipy import stats

from benchmarks.search_quality.landscapes import is_flat
from benchmarks.search_quality.simulated_search import Check, Judged

# One per search, so that its share has a binomial interval.
SINGLE = {
    "test": "test accuracy of the winner",
    "gain over keep_all": "gain over keep-all",
    "gain over transfer_all": "gain over transfer-all",
    "gain over best_prefix": "gain over the best prefix",
    "fitness": "fitness of the winner",
}
# Several per search, which share its draws.
SEVERAL = {"baseline test": "test of the baselines", "baseline fitness": "fitness of the baselines"}


def tally(searches: Sequence[Judged]) -> dict[str, Any]:
    """Count what the searches of one landscape said."""
    checks: dict[str, list[Check]] = {}
    for search in searches:
        for check in search.checks:
            checks.setdefault(check.quantity, []).append(check)
    return {
        "searches": len(searches),
        "intervals": {quantity: _counted(checks[quantity]) for quantity in sorted(checks)},
        "codes": dict(sorted(Counter(search.code for search in searches).items())),
        "claims": sum(search.claims_better for search in searches),
        "claims_with_prefix": sum(s.claims_better or s.claims_prefix for s in searches),
        "wrong_claims": sum(search.claims_wrongly for search in searches),
    }


def _counted(checks: Sequence[Check]) -> dict[str, float]:
    misses = Counter(check.miss for check in checks)
    widths = [
        (check.interval.high - check.interval.low) / 2
        for check in checks
        if check.interval.low is not None and check.interval.high is not None
    ]
    return {
        "count": len(checks),
        "truth_below": misses["below"],
        "truth_above": misses["above"],
        "half_width": round(sum(widths) / max(1, len(widths)), 5),
    }


def render(landscapes: Mapping[str, Mapping[str, Any]]) -> str:
    """Tables for people: coverage, then verdicts."""
    lines = [
        "How often a stated 95% interval contains the truth, in percent, with the 95% interval of that share (Wilson);",
        "below it how often the truth lies below and above the interval, and the mean half width in points.",
        "",
        _row(["landscape", "searches", *SINGLE.values(), *SEVERAL.values()]),
        _row(["---"] * (2 + len(SINGLE) + len(SEVERAL))),
    ]
    for name, entry in landscapes.items():
        intervals = entry["intervals"]
        cells = [_coverage(intervals.get(quantity), single=True) for quantity in SINGLE]
        cells += [_coverage(intervals.get(quantity), single=False) for quantity in SEVERAL]
        lines.append(_row([name, str(entry["searches"]), *cells]))
    lines += [
        "",
        "What the verdicts say, in percent of the searches.  A claim over keep-all or transfer-all makes the code of",
        "the verdict; on a flat landscape every claim is wrong.",
        "",
        _row(["landscape", "claims", "claims, best prefix included", "wrong claims", "codes"]),
        _row(["---"] * 5),
    ]
    for name, entry in landscapes.items():
        counts = [entry[key] for key in ("claims", "claims_with_prefix", "wrong_claims")]
        shares = [share(count, entry["searches"]) for count in counts]
        codes = ", ".join(
            f"{code} {100 * count / entry['searches']:.1f}"
            for code, count in entry["codes"].items()
        )
        lines.append(_row([f"{name} (flat)" if is_flat(name) else name, *shares, codes]))
    commits = sorted({entry["commit"] for entry in landscapes.values()})
    return "\n".join([*lines, "", f"Simulated at commits {', '.join(commits)}."])


def share(count: int, total: int) -> str:
    """A share in percent with its 95% interval."""
    interval = stats.binomtest(count, total).proportion_ci(method="wilson")
    return f"{100 * count / total:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _coverage(counted: Mapping[str, float] | None, *, single: bool) -> str:
    if counted is None:
        return ""
    total, below, above = (int(counted[k]) for k in ("count", "truth_below", "truth_above"))
    covered = total - below - above
    text = share(covered, total) if single else f"{100 * covered / total:.1f}"
    sides = f"{100 * below / total:.1f} + {100 * above / total:.1f}"
    return f"{text}; {sides}; ±{100 * counted['half_width']:.1f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
