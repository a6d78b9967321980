"""Tests of where weights come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from models.checkpoints import State
from models.data.shapes import DataShape
from models.families.small_cnn import SmallCNNConfig
from models.family import build_family
from models.surroundings import NOTHING, Surroundings
from models.uploads import ArtifactId, UploadFolder
from models.weights import WEIGHTS
from models.weights_source import WeightsContext, WeightsSource, open_weights
from search.errors import DataError, InvalidInputError
from tests.models.small_task import IMAGES

DIGITS = {"kind": "digits", "classes": [0, 1, 2, 3]}
UPLOAD = ArtifactId(f"art_{'0' * 64}")
SPECS: dict[str, dict[str, object]] = {
    "init": {},
    "pretrain": {"dataset": DIGITS, "steps": 3, "batch_size": 8},
    "file": {"path": "weights.safetensors"},
    "artifact": {"id": UPLOAD},
}
MakeContext = Callable[..., WeightsContext]


@pytest.fixture
def context(tmp_path: Path) -> MakeContext:
    """Make contexts of one small architecture, beside a file of its weights."""
    family = build_family(SmallCNNConfig(width=4, hidden=8, norm="batch"), NOTHING)
    state = family.build(IMAGES).state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    uploads = UploadFolder(tmp_path / "uploads")
    uploads.root.mkdir()
    save_file(state, uploads.path(UPLOAD, "safetensors"))
    surroundings = replace(Surroundings.of(tmp_path), uploads=uploads)

    def make(field: str = "source", seed: int = 0, cache: Path | None = None) -> WeightsContext:
        return WeightsContext(family, IMAGES, surroundings, seed, field, cache=cache)

    return make


@pytest.fixture(params=WEIGHTS.names())
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(kind: str, context: WeightsContext, **options: object) -> WeightsSource:
    config = WEIGHTS.config(kind).model_validate({**SPECS[kind], **options})
    return open_weights(config, context)


def is_equal(first: State, second: State) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())


def test_shapes_foretell_what_is_loaded(kind: str, context: MakeContext) -> None:
    source = opened(kind, context())
    loaded = {name: tuple(tensor.shape) for name, tensor in source.load(0).items()}
    assert source.shapes() == loaded


def test_loading_twice_gives_the_same_bits(kind: str, context: MakeContext) -> None:
    assert is_equal(opened(kind, context()).load(0), opened(kind, context()).load(0))


def test_loading_leaves_the_global_generator_alone(kind: str, context: MakeContext) -> None:
    before = torch.get_rng_state()
    opened(kind, context()).load(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_replicates_share_the_weights_unless_redrawn(kind: str, context: MakeContext) -> None:
    source = opened(kind, context())
    assert is_equal(source.load(0), source.load(7))


def test_redrawn_weights_differ_between_replicates(context: MakeContext) -> None:
    source = opened("init", context("target"), redraw=True)
    assert not is_equal(source.load(0), source.load(7))
    assert is_equal(source.load(7), source.load(7))


@pytest.mark.parametrize("seed", [0, 1])
def test_source_and_target_are_different_draws(context: MakeContext, seed: int) -> None:
    source = opened("init", context("source", seed)).load(0)
    assert not is_equal(source, opened("init", context("target", seed)).load(0))


def test_kaiming_weights_have_the_variance_of_the_formula(context: MakeContext) -> None:
    state = opened("init", context(), scheme="kaiming_normal").load(0)
    # Variance 2 / fan_in; 8 x 8 x 9 weights leave a standard error of 6%.
    assert state["conv6.weight"].var().item() == pytest.approx(2 / (8 * 9), rel=0.25)
    assert (state["linear1.bias"] == 0).all()


def test_xavier_uniform_weights_stay_within_the_bound_of_the_formula(context: MakeContext) -> None:
    weight = opened("init", context(), scheme="xavier_uniform").load(0)["linear2.weight"]
    assert weight.abs().max().item() <= (6 / (8 + 8)) ** 0.5
    assert weight.abs().max().item() > 0.9 * (6 / (8 + 8)) ** 0.5


def test_a_pretrained_head_has_the_size_of_its_own_data(context: MakeContext) -> None:
    assert opened("pretrain", context()).shapes()["linear3.weight"] == (4, 8)


def test_pretraining_changes_the_weights_with_every_step(context: MakeContext) -> None:
    states = [opened("pretrain", context(), steps=steps).load(0) for steps in (1, 2)]
    assert not torch.equal(states[0]["conv1.weight"], states[1]["conv1.weight"])
    assert states[0]["norm1.num_batches_tracked"] == 1


def test_pretraining_on_a_part_never_sees_the_rest(context: MakeContext) -> None:
    part = {**DIGITS, "train_size": 8, "validation_size": 8, "test_size": 8}
    states = [opened("pretrain", context(), dataset=d).load(0) for d in (DIGITS, part)]
    assert not is_equal(*states)


def test_a_source_whose_samples_are_all_judged_on_is_refused(context: MakeContext) -> None:
    samples = frozenset(f"digits {row}" for row in range(1797))
    source = opened("pretrain", replace(context(), held_out=samples))
    with pytest.raises(DataError, match=r"source\.dataset: .* all judged on"):
        source.load(0)


def test_pretrained_weights_are_found_again_after_a_restart(
    context: MakeContext, tmp_path: Path
) -> None:
    first = opened("pretrain", context(cache=tmp_path)).load(0)
    # With the same cache nothing is trained again, whatever the options say.
    again = opened("pretrain", context(cache=tmp_path), steps=5).load(0)
    assert is_equal(first, again)


def test_pretraining_that_explodes_is_refused_by_its_field(context: MakeContext) -> None:
    source = opened("pretrain", context(), learning_rate=1e12)
    with pytest.raises(InvalidInputError, match=r"source\.learning_rate: 1000000000000"):
        source.load(0)


def test_the_data_of_pretraining_are_refused_by_their_own_field(context: MakeContext) -> None:
    with pytest.raises(InvalidInputError, match=r"source\.dataset\.path: 'missing\.npz'"):
        opened("pretrain", context(), dataset={"kind": "arrays", "path": "missing.npz"})


def test_data_that_do_not_fit_the_architecture_are_refused(
    context: MakeContext, tmp_path: Path
) -> None:
    np.savez(tmp_path / "flat.npz", x=np.zeros((9, 4)), y=np.arange(9) % 3)
    source = opened("pretrain", context(), dataset={"kind": "arrays", "path": "flat.npz"})
    with pytest.raises(InvalidInputError, match="dataset: inputs of shape"):
        source.shapes()


@pytest.mark.parametrize("path", ["../weights.safetensors", "missing.safetensors"])
def test_files_outside_and_missing_ones_are_refused(context: MakeContext, path: str) -> None:
    with pytest.raises(InvalidInputError, match=r"source\.path"):
        opened("file", context(), path=path)


def test_an_upload_is_refused_by_its_id(context: MakeContext) -> None:
    missing = f"art_{'1' * 64}"
    with pytest.raises(InvalidInputError, match=rf"source\.id: {missing} .*POST /v1/artifacts"):
        opened("artifact", context(), id=missing)
    uploads = context().surroundings.uploads
    assert uploads is not None
    save_file({"fc.weight": torch.zeros(3)}, uploads.path(UPLOAD, "safetensors"))
    with pytest.raises(InvalidInputError, match=r"source\.id: .*conv1\.weight is missing"):
        opened("artifact", context()).shapes()
    with pytest.raises(ValidationError, match="art_ and 64 hexadecimal digits"):
        opened("artifact", context(), id="../weights")


def test_an_upload_of_arrays_is_no_source(context: MakeContext) -> None:
    arrays = ArtifactId(f"art_{'2' * 64}")
    uploads = context().surroundings.uploads
    assert uploads is not None
    uploads.path(arrays, "npz").touch()
    with pytest.raises(InvalidInputError, match=r"source\.id: .*which is npz"):
        opened("artifact", context(), id=arrays)


def test_without_a_data_directory_there_are_no_uploads(context: MakeContext) -> None:
    alone = replace(context().surroundings, uploads=None)
    with pytest.raises(InvalidInputError, match=r"source\.id: .*no uploads"):
        opened("artifact", replace(context(), surroundings=alone))


def test_a_pickled_file_is_refused_with_the_way_out(context: MakeContext, tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(InvalidInputError, match=r"source\.path: .*save_file"):
        opened("file", context()).shapes()


def test_a_file_of_another_architecture_is_refused(context: MakeContext, tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(InvalidInputError, match=r"source\.path: .*conv1\.weight is missing"):
        opened("file", context()).shapes()


def test_a_file_with_another_head_is_a_source_but_no_target(
    context: MakeContext, tmp_path: Path
) -> None:
    other = build_family(SmallCNNConfig(width=4, hidden=8, norm="batch"), NOTHING)
    network = other.build(DataShape(IMAGES.inputs, 10))
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    assert opened("file", context("source")).shapes()["linear3.weight"] == (10, 8)
    with pytest.raises(InvalidInputError, match=r"target\.path: .*linear3\.weight .* \(10, 8\)"):
        opened("file", context("target")).shapes()


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"learning_rate": 0}, {"dataset": {"kind": "imagenet"}}, {"epochs": 1}],
)
def test_options_out_of_bounds_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        WEIGHTS.config("pretrain").model_validate({**SPECS["pretrain"], **options})
