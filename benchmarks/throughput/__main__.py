"""Candidate-steps per second of the project's plans, against a plain loop and a process pool of plain loops.

Every way runs in long-lived processes of its own: ours in the environment in which the service computes, the others in
the one in which a user starts Python.  They are asked in turn, one timed round each while the others wait on a pipe, so
that ratios within a round hold on a noisy machine.  The machine's peak in matrix products is measured in the same
turns.

    python -m benchmarks.throughput --rounds 5
    python -m benchmarks.throughput --networks "mlp,cnn 8x8" --all-plans
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from benchmarks.record import conditions_of, write_record
from benchmarks.throughput.networks import NETWORKS
from benchmarks.throughput.rounds import measure
from benchmarks.throughput.table import figures_of, table_of


def main() -> None:
    """Measure network by network and write the record after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(NETWORKS), help="separated by commas")
    parser.add_argument("--rounds", type=int, default=5, help="timed ones, after one that warms up")
    parser.add_argument(
        "--steps", type=int, help="per evaluation; by default fewer for big networks"
    )
    parser.add_argument("--all-plans", action="store_true", help="time fixed plans as well")
    parser.add_argument(
        "--plan", type=json.loads, help="ours: JSON of one plan, or of one per network's name"
    )
    parser.add_argument("--label", default="", help="of the record, beside those of other networks")
    arguments = parser.parse_args()
    networks = arguments.networks.split(",")
    if unknown := set(networks) - NETWORKS.keys():
        parser.error(f"unknown networks {sorted(unknown)}; one of {list(NETWORKS)}")
    conditions = conditions_of("throughput")
    figures: dict[str, Any] = {}
    for network in networks:
        figures[network] = figures_of(measure(network, arguments))
        # Written anew after each network: a run that is cut short leaves what it has.
        write_record(conditions, figures, table_of(figures), arguments.label)


if __name__ == "__main__":
    main()
