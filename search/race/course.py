"""The race: the leaders of the search and the baselines again, on draws that did not help to select them.

The best score of a noisy search is mostly luck, and what learns fastest is not what ends best.  So there are two heats,
both paired: all entrants are measured at the same fresh replicates, and only these count.  The short heat at the search
fidelity measures the noise and drops clear losers; the long heat at full length chooses the winner and everybody's
learning rate.

Baselines: keep-all, transfer-all, and as many of the best prefixes as there are leaders, so that the best prefix is
selected with the same care as the best mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from search.evaluation import RACE_REPLICATE, Arm, Candidate, Evaluation
from search.final import FinalOptions
from search.genome import Genome, prefixes
from search.optimizer import SearchProblem
from search.race.field import Field as RaceField
from search.race.field import half_of
from search.race.leaders import leading_masks
from search.race.long_heat import Entry, LongHeat
from search.race.noise import Noise
from search.race.short_heat import RACE_PHASE, ShortHeat, brief_candidate, run_short_heat
from search.recorded import RecordedEvaluator


class RaceOptions(BaseModel):
    """Options of the race."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    leaders: int = Field(8, ge=1, le=1000, description="best masks of the search that race")
    replicates: int = Field(
        3,
        ge=1,
        le=100,
        description="fresh draws of the short heat, at the search fidelity; from the second on what is clearly worse "
        "than the best is dropped",
    )
    full_length_replicates: int = Field(
        3,
        ge=0,
        le=100,
        description="fresh draws of the long heat, at full length; after each the better half goes on; "
        "0: the short heat chooses the finalists",
    )


@dataclass(frozen=True, slots=True)
class RaceOutcome:
    """Who came where.

    Attributes:
        entries: Who was in the last round, each at its own best learning rate, best first; failed ones are left out.
        noise: Spread of evaluations at search fidelity.
    """

    entries: tuple[Entry, ...]
    noise: Noise


@dataclass(frozen=True, slots=True)
class Course:
    """How the race is run, which follows from the spec alone.

    Attributes:
        options: Of the race.
        final: Says what full length is, and how many finalists there are.
        search_fidelity: Steps of a brief training.
        n_arms: Learning rates among which every mask chooses at full length.
    """

    options: RaceOptions
    final: FinalOptions
    search_fidelity: int
    n_arms: int

    @property
    def has_long_heat(self) -> bool:
        """A final that is no longer than a search evaluation has nothing to add to the short heat."""
        return self.options.full_length_replicates > 0 and self.final.steps > self.search_fidelity

    @property
    def stays_briefly(self) -> int:
        """Masks that the short heat must not drop.

        What is best briefly is seldom best at full length, so where that is measured too at least half of them stay.
        """
        if not self.has_long_heat:
            return self.final.finalists
        return half_of(self.options.leaders, self.final.finalists)

    def long_heat(self, arms: Sequence[Arm]) -> LongHeat:
        """The rounds at full length.

        Without a long heat there is none, or one round where learning rates must be chosen.
        """
        rounds = int(self.n_arms > 1)
        if self.has_long_heat:
            rounds = self.options.full_length_replicates
        return LongHeat(
            self.final.steps,
            tuple(arms),
            # Draws of their own where full length is as brief as the search.
            RACE_REPLICATE + self.options.replicates,
            rounds,
            self.final.finalists,
        )

    def entrants(self, n_genes: int) -> tuple[int, int, int]:
        """Most masks that start: leaders, prefixes, pure strategies."""
        return self.options.leaders, min(self.options.leaders, n_genes - 1), 2

    def trainings(self, n_genes: int) -> tuple[int, int]:
        """Most trainings at the search fidelity and at full length that the race takes."""
        n_masks, n_prefixes, n_pure = self.entrants(n_genes)
        brief = n_genes - 1 + (n_masks + n_prefixes + n_pure) * self.options.replicates
        if not self.has_long_heat:
            n_masks, n_prefixes = (min(n, self.final.finalists) for n in (n_masks, n_prefixes))
        long_heat = self.long_heat([Arm(float(number)) for number in range(self.n_arms)])
        return brief, long_heat.trainings(n_masks, n_prefixes, n_pure)


def run_race(
    recorded: RecordedEvaluator,
    problem: SearchProblem,
    arm: Arm,
    found: Sequence[Evaluation],
    *,
    options: RaceOptions,
    final: FinalOptions,
) -> RaceOutcome:
    """Measure leaders and baselines at fresh replicates.

    Args:
        recorded: Measures.
        problem: Gives the number of genes and the search fidelity.
        arm: The search's recipe.
        found: What the search phase measured.
        options: Leaders and replicates.
        final: Says what full length is, and which learning rates there are.
    """
    arms = final.arms(arm)
    course = Course(options, final, problem.search_fidelity, len(arms))
    short_heat = run_short_heat(
        recorded,
        _enter(recorded, problem, arm, found, options.leaders),
        brief_candidate(problem.search_fidelity, arm),
        replicates=options.replicates,
        at_least=course.stays_briefly,
    )
    long_heat = course.long_heat(arms)
    field = short_heat.field if course.has_long_heat else _best_of(short_heat, final.finalists)
    if long_heat.rounds:
        entries = long_heat.run(recorded, field)
    else:
        entries = [Entry(s, arms[0]) for s in short_heat.standings if s.genome in field.genomes]
    return RaceOutcome(tuple(entries), short_heat.noise)


def _enter(
    recorded: RecordedEvaluator,
    problem: SearchProblem,
    arm: Arm,
    found: Sequence[Evaluation],
    n_leaders: int,
) -> RaceField:
    """Choose who races; prefixes that the search has not met are measured as it would have."""
    n_genes, fidelity = problem.n_genes, problem.search_fidelity
    measured = recorded.measure(
        RACE_PHASE, [Candidate(genome, fidelity, arm=arm) for genome in prefixes(n_genes)]
    )
    known = {
        evaluation.candidate.key: evaluation
        for evaluation in [*found, *measured]
        if evaluation.candidate.fidelity == fidelity
    }
    return RaceField.of_leaders(leading_masks(list(known.values())), n_genes, n_leaders)


def _best_of(short_heat: ShortHeat, count: int) -> RaceField:
    """The best ``count`` masks and prefixes of the short heat."""
    order = [standing.genome for standing in short_heat.standings]

    def best(genomes: Sequence[Genome]) -> list[Genome]:
        return [genome for genome in order if genome in genomes][:count]

    return short_heat.field.narrowed(best)
