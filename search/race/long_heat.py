"""The long heat of the race: at full length, each mask at each learning rate, half of the field at a time.

Winner and learning rates are chosen here, on draws that the final does not use: what is chosen on the trainings that
are then tested takes their luck along into the verdict (docs/decisions/0013-chosen-in-the-race.md).  Halving after
every replicate follows Karnin, Koren and Somekh, "Almost Optimal Exploration in Multi-Armed Bandits", ICML 2013.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.evaluation import Arm, Candidate, Evaluation
from search.genome import Genome
from search.race.field import Field, half_of
from search.race.ranking import Standing, rank
from search.race.short_heat import RACE_PHASE
from search.recorded import RecordedEvaluator

# Learning rates at which a mask goes on after the first round.
MOST_RATES_AFTER_FIRST = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One mask at the learning rate that was best for it, and its mean fitness there."""

    standing: Standing
    arm: Arm

    @property
    def genome(self) -> Genome:
        """The mask."""
        return self.standing.genome


@dataclass(frozen=True, slots=True)
class LongHeat:
    """What the long heat measures.

    Attributes:
        steps: Full length.
        arms: Learning rates to choose from.
        first_replicate: Of its rounds, which follow one another.
        rounds: Replicates of those who stay to the end.
        at_least: Masks, and prefixes, that stay to the end.
    """

    steps: int
    arms: tuple[Arm, ...]
    first_replicate: int
    rounds: int
    at_least: int

    def run(self, recorded: RecordedEvaluator, field: Field) -> list[Entry]:
        """Race to the last round; the best first, each at its own best rate.

        After every round but the last the better half of the masks and the better half of the prefixes go on, after
        the first one everybody at their two best rates.  A mask that failed at all of its rates is out.
        """
        own_arms: Mapping[Genome, Sequence[Arm]] = dict.fromkeys(field.genomes, self.arms)
        evaluations: list[Evaluation] = []
        entries: list[Entry] = []
        for number in range(self.rounds):
            evaluations += recorded.measure(
                RACE_PHASE,
                [
                    Candidate(genome, self.steps, self.first_replicate + number, arm)
                    for arm in self.arms
                    for genome in field.genomes
                    if arm in own_arms[genome]
                ],
            )
            ranked = {g: at_each_rate(evaluations, g, own_arms[g]) for g in field.genomes}
            entries = sorted(
                (own[0] for own in ranked.values() if own), key=lambda entry: entry.standing.order
            )
            field = self._better_half(field, [entry.genome for entry in entries])
            own_arms = {
                g: [entry.arm for entry in ranked[g][:MOST_RATES_AFTER_FIRST]]
                for g in field.genomes
            }
        return entries

    def trainings(self, n_masks: int, n_prefixes: int, n_pure: int) -> int:
        """Most trainings at full length that a race of so many entrants takes."""
        count, n_arms = 0, len(self.arms)
        for _ in range(self.rounds):
            count += (n_masks + n_prefixes + n_pure) * n_arms
            n_masks, n_prefixes = (half_of(n, self.at_least) for n in (n_masks, n_prefixes))
            n_arms = min(n_arms, MOST_RATES_AFTER_FIRST)
        return count

    def _better_half(self, field: Field, order: Sequence[Genome]) -> Field:
        """Half of each kind by ``order``, which leaves out who failed."""

        def half(genomes: Sequence[Genome]) -> list[Genome]:
            own = [genome for genome in order if genome in genomes]
            return own[: half_of(len(genomes), self.at_least)]

        return field.only(set(order)).narrowed(half)


def at_each_rate(
    evaluations: Sequence[Evaluation], genome: Genome, arms: Sequence[Arm]
) -> list[Entry]:
    """Enter one mask at each of some rates, its best first; rates at which it failed are left out."""
    own = [e for e in evaluations if e.candidate.genome == genome]
    entries = [
        Entry(standing, arm)
        for arm in arms
        for standing in rank(e for e in own if e.candidate.arm == arm)
    ]
    return sorted(entries, key=lambda entry: entry.standing.order)
