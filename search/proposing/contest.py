"""Which masks may still be the best, after all of them were measured.

As in racing and best-arm identification (Birattari et al., "A Racing Algorithm for Configuring Metaheuristics", GECCO
2002): a mask that is worse than the leader beyond doubt is not looked at again, and with little noise nobody is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.genome import Genome
from search.observations import masks_of
from search.proposing.knowledge import choose_repeatedly
from search.surrogate import Fit

# Standard deviations of the difference to the leader, beyond which a mask is out.
DOUBT = 2.0


def contenders(fit: Fit, genomes: Sequence[Genome]) -> list[Genome]:
    """Give those that may be the best, the leader included, in the order given; none if it leads beyond doubt.

    Args:
        fit: Fitted to all evaluations of the masks.
        genomes: Different masks, at least one.
    """
    belief = fit.believe(masks_of(genomes))
    leader = int(np.argmax(belief.mean))
    covariance = belief.covariance
    of_difference = np.diagonal(covariance) + covariance[leader, leader] - 2 * covariance[leader]
    behind = belief.mean[leader] - belief.mean
    in_doubt = behind <= DOUBT * np.sqrt(np.maximum(of_difference, 0.0))
    found = [genome for genome, stays in zip(genomes, in_doubt, strict=True) if stays]
    # The leader is never behind itself.
    return found if len(found) > 1 else []


def last_contest(fit: Fit, leaders: Sequence[Genome], count: int) -> list[Genome]:
    """Give a search's last batch to those that may be the best; none if one leads beyond doubt.

    A mask that is found in the last batch could not be told from luck any more.

    Args:
        fit: Fitted to all evaluations.
        leaders: Different measured masks, at least one.
        count: Number of measurements; a mask may get several.
    """
    in_doubt = contenders(fit, leaders)
    return choose_repeatedly(fit, in_doubt, count) if in_doubt else []
