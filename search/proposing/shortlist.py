"""Looking closer before a batch is chosen: the masks in question are first measured without any training.

One pass over the validation part for each mask in question, and the surrogate knows more of all of them; see
``search.untrained``.  ``benchmarks/search_quality`` has what that is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import Field

from search.evaluation import UNTRAINED, Candidate
from search.genome import Genome
from search.observations import Observations
from search.optimizer import SearchProblem
from search.proposing.rungs import RungedConfig

# Of the work of the evaluations themselves; where looking costs more, shortlists are shorter.
MOST_LOOKING = 0.25
# Of shorter ones there is too little to choose.
SHORTEST = 2.0
UNTRAINED_FACTOR = (
    "masks whose loss before any training is measured, for each one that is trained, as long as that costs at most a "
    "quarter of the training; none if below 2, and none with rungs, which have a fidelity for that"
)


class ShortlistConfig(RungedConfig):
    """Base of the options of optimizers whose surrogate chooses a batch from a shortlist."""

    untrained_factor: int = Field(3, ge=0, le=1000, description=UNTRAINED_FACTOR)

    def looks_per_training(self, problem: SearchProblem) -> float:
        """Masks that are measured untrained for each one that is trained, at most; 0 if none are."""
        if self.rungs is not None or problem.untrained_share is None:
            return 0.0
        looks = min(self.untrained_factor, MOST_LOOKING / problem.untrained_share)
        return looks if looks >= SHORTEST else 0.0


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Masks of which a batch is chosen.

    Attributes:
        certain: Those that are in the batch whatever the surrogate says.
        in_question: Those of which it chooses the rest; a mask that is to be measured several times comes as often.
        wanted: How many of them; all where there are no more.
    """

    certain: Sequence[Genome]
    in_question: Sequence[Genome]
    wanted: int


class ShortlistedBatches:
    """Asks for batches in two steps: what is not known of a shortlist untrained, then what is chosen of it.

    Where an evaluator tells no losses there is only the second.
    """

    def __init__(
        self, problem: SearchProblem, seen: Observations, looks_per_training: float
    ) -> None:
        """Bind the fidelity, what the optimizer has seen, and how many masks are looked at for each one trained."""
        self._fidelity, self._seen = problem.search_fidelity, seen
        self._looks_per_training = looks_per_training
        self._shortlist: Shortlist | None = None

    def most_new_masks(self, wanted: int, most: int) -> int:
        """How many new masks may be in question where so many are wanted: ``most``, or fewer if all are looked at."""
        return min(most, int(wanted * self._looks_per_training)) if self._is_looking else most

    @property
    def _is_looking(self) -> bool:
        return self._looks_per_training > 0 and self._seen.tells_losses

    def ask(
        self,
        draw_up: Callable[[], Shortlist],
        choose: Callable[[Sequence[Genome], int], Sequence[Genome]],
    ) -> list[Candidate]:
        """Propose the next batch.

        Args:
            draw_up: Gives a new shortlist.
            choose: Gives so many of the masks in question, which have been looked at; not called where all are wanted.

        Returns:
            Those that are to be measured; none where nothing but what is certain would be.
        """
        if self._shortlist is None:
            self._shortlist = draw_up()
            unknown = self._unknown(self._shortlist)
            if unknown:
                return unknown
        shortlist, self._shortlist = self._shortlist, None
        new = shortlist.in_question
        if len(new) > shortlist.wanted:
            new = choose(new, shortlist.wanted)
        # Measuring leaders again, for ever, is no search.
        return self._seen.candidates([*shortlist.certain, *new] if new else [], self._fidelity)

    def _unknown(self, shortlist: Shortlist) -> list[Candidate]:
        """The measured masks, from which the surrogate learns, and those in question, as far as not looked at."""
        if not self._is_looking or len(shortlist.in_question) <= shortlist.wanted:
            return []
        masks = dict.fromkeys([*self._seen.genomes, *shortlist.in_question])
        return [
            Candidate(genome, UNTRAINED) for genome in masks if genome not in self._seen.untrained
        ]
