"""Tests of weights from files, as a spec names them: what fits whom, with which options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from models.checkpoints import State
from models.families.mlp import MLPConfig
from models.family import build_family
from models.surroundings import NOTHING, Surroundings
from models.weights.file import FileConfig, FileWeights
from models.weights.init import InitConfig, InitWeights
from models.weights_source import WeightsContext, checkpoint_reports
from search.errors import InvalidInputError
from tests.models.small_task import IMAGES

FAMILY = build_family(MLPConfig(hidden=(4, 4)), NOTHING)


@pytest.fixture
def state() -> State:
    return FAMILY.build(IMAGES).state_dict()


def opened(folder: Path, field: str = "source", **options: object) -> FileWeights:
    config = FileConfig.model_validate({"path": "net", **options})
    return FileWeights(config, WeightsContext(FAMILY, IMAGES, Surroundings.of(folder), 0, field))


def write_shards(folder: Path, state: State) -> None:
    """One tensor a shard."""
    folder.mkdir()
    weight_map = {}
    for number, (name, tensor) in enumerate(state.items()):
        file = f"model-{number}.safetensors"
        save_file({name: tensor}, folder / file)
        weight_map[name] = file
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")


@pytest.mark.parametrize("field", ["source", "target"])
def test_shards_with_a_prefix_and_half_precision_are_a_source_and_a_target(
    field: str, state: State, tmp_path: Path
) -> None:
    write_shards(
        tmp_path / "net", {f"module.model.{name}": tensor.half() for name, tensor in state.items()}
    )
    weights = opened(tmp_path, field)
    loaded = weights.load(0)
    assert weights.shapes() == {name: tuple(tensor.shape) for name, tensor in loaded.items()}
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name].half().float()) for name in state)
    assert weights.report().summary == (
        f"net ({len(state)} files): {len(state)} of {len(state)} tensors matched; stripped 'module.'; "
        f"stripped 'model.'; converted {len(state)} from float16 to float32"
    )


def test_names_that_nobody_can_guess_are_renamed_by_the_user(state: State, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    strange = {name.replace("linear", "fc_"): tensor for name, tensor in state.items()}
    save_file(strange, tmp_path / "net" / "model.safetensors")
    with pytest.raises(InvalidInputError, match=r"source\.path: .* \(source\.rename can change"):
        opened(tmp_path).shapes()
    weights = opened(tmp_path, rename={"fc_*": "linear*"})
    assert weights.load(0).keys() == state.keys()
    assert weights.report().renaming == (f"renamed {len(state)}",)


def test_a_source_takes_what_fits_and_a_target_needs_all(state: State, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    del state["linear1.weight"]
    save_file(state, tmp_path / "net" / "model.safetensors")
    assert "linear1.weight" not in opened(tmp_path).shapes()
    with pytest.raises(InvalidInputError) as caught:
        opened(tmp_path, "target").shapes()
    assert caught.value.field == "target.path"
    assert "net in which 1 of 6 tensors do not fit: linear1.weight is missing" in str(caught.value)
    assert "5 of 6 tensors matched. 1 missing: linear1.weight" in caught.value.expected


def test_weights_from_elsewhere_have_no_report(state: State, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    save_file(state, tmp_path / "net" / "model.safetensors")
    weights = opened(tmp_path)
    init = InitWeights(
        InitConfig(), WeightsContext(FAMILY, IMAGES, Surroundings.of(tmp_path), 0, "target")
    )
    assert checkpoint_reports(source=weights, target=init) == {"source": weights.report()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strip_prefixes": ["module"]}, "'module' is no prefix of names"),
        ({"strip_prefixes": ["."]}, "is no prefix"),
        ({"strip_prefixes": ["a."] * 9}, "at most 8"),
        ({"rename": {"a.*": "b"}}, "1 stars"),
        ({"rename": {f"a{n}": "b" for n in range(1001)}}, "at most 1000"),
        ({"path": ""}, "at least 1 character"),
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FileConfig.model_validate({"path": "net", **options})
