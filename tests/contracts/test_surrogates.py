"""What every registered surrogate promises; a new file is tested as soon as it exists."""

from __future__ import annotations

import numpy as np
import pytest

from search.evaluation import UNTRAINED, Candidate, Evaluation, Outcome
from search.genome import Genome
from search.observations import Observations
from search.proposing.acquisition import choose_batch
from search.surrogate import SURROGATES, Fit, Surrogate, SurrogateConfig, build_surrogate

N_GENES = 8
WEIGHTS = np.random.default_rng(5).normal(size=N_GENES)


@pytest.fixture(params=SURROGATES.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(name: str, seed: int = 0) -> Surrogate:
    config = SURROGATES.config(name).model_validate({})
    assert isinstance(config, SurrogateConfig)
    return build_surrogate(config, seed)


def truth(genome: Genome) -> float:
    return float(WEIGHTS @ np.where(genome.keeps, 1.0, -1.0))


def drawn(count: int, seed: int) -> list[Genome]:
    return [
        Genome.from_bits(bits)
        for bits in np.random.default_rng(seed).random((count, N_GENES)) < 0.5
    ]


def observed(
    count: int = 80, noise: float = 0.5, shift: float = 0.0, seed: int = 1
) -> Observations:
    """Noisy scores at two replicates; the second one is shifted as a whole."""
    rng = np.random.default_rng(seed)
    return Observations(
        Evaluation(
            Candidate(genome, 40, index % 2),
            Outcome.MEASURED,
            truth(genome) + noise * float(rng.normal()) + shift * (index % 2),
            0.0,
        )
        for index, genome in enumerate(drawn(count // 2, seed) * 2)
    )


def means(fit: Fit, genomes: list[Genome]) -> list[float]:
    mean: list[float] = fit.believe(np.array([g.keeps for g in genomes])).mean.tolist()
    return mean


def test_equal_calls_give_equal_beliefs(name: str) -> None:
    first, second = (build(name, 3).fit(observed()) for _ in range(2))
    assert means(first, drawn(20, 9)) == means(second, drawn(20, 9))


def test_masks_that_were_never_measured_are_ranked(name: str) -> None:
    unseen = drawn(60, 77)
    expected = means(build(name).fit(observed()), unseen)
    assert np.corrcoef(expected, [truth(genome) for genome in unseen])[0, 1] > 0.6


def test_a_shift_of_a_whole_replicate_changes_little(name: str) -> None:
    unseen = drawn(60, 77)
    plain = means(build(name).fit(observed()), unseen)
    shifted = means(build(name).fit(observed(shift=20.0)), unseen)
    assert np.corrcoef(plain, shifted)[0, 1] > 0.9


def test_a_belief_is_a_mean_and_a_covariance(name: str) -> None:
    belief = build(name).fit(observed()).believe(np.array([g.keeps for g in drawn(10, 4)]))
    assert belief.mean.shape == (10,)
    assert belief.covariance.shape == (10, 10)
    assert np.linalg.eigvalsh(belief.covariance).min() > -1e-9
    assert (belief.deviation >= 0).all()


def test_one_mask_can_be_believed(name: str) -> None:
    belief = build(name).fit(observed()).believe(np.array([drawn(1, 4)[0].keeps]))
    assert belief.covariance.shape == (1, 1)


def test_a_flat_landscape_gives_flat_beliefs(name: str) -> None:
    flat = Observations(
        Evaluation(Candidate(g, 40), Outcome.MEASURED, 0.5, 0.0) for g in drawn(30, 2)
    )
    fit = build(name).fit(flat)
    np.testing.assert_allclose(means(fit, drawn(20, 3)), 0.5, atol=1e-6)
    assert choose_batch(fit, list(dict.fromkeys(drawn(20, 3))), 5, 1.0)


def test_a_single_gene_can_be_modelled(name: str) -> None:
    masks = [Genome((index % 2 == 0,)) for index in range(10)]
    seen = Observations(
        Evaluation(Candidate(g, 40, i), Outcome.MEASURED, float(g.keeps[0]) + 0.01 * (i % 3), 0.0)
        for i, g in enumerate(masks)
    )
    kept, transferred = means(build(name).fit(seen), [Genome((True,)), Genome((False,))])
    assert kept > transferred


def test_the_options_have_a_schema_with_a_description_for_each(name: str) -> None:
    properties = SURROGATES.config(name).model_json_schema()["properties"]
    assert all("description" in option for key, option in properties.items() if key != "kind")


def test_a_batch_is_chosen_of_different_masks_best_first(name: str) -> None:
    fit, unseen = build(name).fit(observed()), list(dict.fromkeys(drawn(60, 77)))
    chosen = choose_batch(fit, unseen, 10, optimism=0.0)
    assert len(set(chosen)) == 10
    expected = means(fit, chosen)
    assert expected == sorted(expected, reverse=True)


def test_what_is_expected_is_the_mean_of_the_belief(name: str) -> None:
    fit, masks = build(name).fit(observed()), np.array([g.keeps for g in drawn(20, 9)])
    np.testing.assert_array_equal(fit.expect(masks), fit.believe(masks).mean)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_untrained_losses_tell_is_used_whichever_way_they_point(
    name: str, sign: float
) -> None:
    rng, genomes = np.random.default_rng(4), list(dict.fromkeys(drawn(160, 4)))
    hidden = rng.normal(size=len(genomes))

    def expected(*, are_known: bool) -> list[float]:
        seen = Observations(
            Evaluation(Candidate(genome, 40), Outcome.MEASURED, value + 0.2 * own, 0.0)
            for genome, value, own in zip(genomes[:60], hidden, rng.normal(size=60), strict=False)
        )
        if are_known:
            seen.add(
                Evaluation(Candidate(genome, UNTRAINED), Outcome.MEASURED, 0.1, 0.0, sign * value)
                for genome, value in zip(genomes, hidden.tolist(), strict=True)
            )
        return means(build(name).fit(seen), genomes[60:])

    def correlation(*, are_known: bool) -> float:
        return float(np.corrcoef(expected(are_known=are_known), hidden[60:])[0, 1])

    assert correlation(are_known=True) > 0.7
    assert correlation(are_known=False) < 0.4
