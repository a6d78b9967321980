"""The example of a text task: its data program and its spec, with a small network in place of the published one."""

from __future__ import annotations

import csv
import json
import runpy
from collections import Counter
from pathlib import Path

import pytest

from models.surroundings import Surroundings
from service.composition import check_spec, read_data
from service.spec import SearchSpec
from tests.models.huggingface.cases import network_of, write_folder

EXAMPLE = Path(__file__).parent.parent / "examples" / "docstrings"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs as the tutorial has them; the model is a tiny BERT without weights."""
    folder = tmp_path_factory.mktemp("inputs")
    runpy.run_path(str(EXAMPLE / "write_data.py"))["write"](folder / "docstrings.csv")
    write_folder(folder / "minilm", "bert", max_position_embeddings=48)
    return folder


def test_the_data_are_docstrings_of_eight_packages_and_no_text_stands_twice_in_one(
    inputs: Path,
) -> None:
    with (inputs / "docstrings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = Counter(row["label"] for row in rows)
    assert len(counts) == 8
    assert all(60 <= count <= 160 for count in counts.values())
    assert len({(row["label"], row["text"]) for row in rows}) == len(rows)


def test_the_spec_fits_the_data_and_no_definition_is_in_two_parts(inputs: Path) -> None:
    document = json.loads((EXAMPLE / "spec.json").read_text(encoding="utf-8"))
    spec = SearchSpec.model_validate(document | {"source": {"kind": "init"}})
    surroundings = Surroundings.of(inputs)
    layers = len([name for name in network_of("bert").state_dict() if "query.weight" in name])
    genes = [gene.name for gene in check_spec(spec, surroundings).genes]
    assert [f"bert.encoder.layer.{number}" for number in range(layers)] == genes[1 : layers + 1]
    data = read_data(spec, surroundings)
    assert len(data.train.labels) <= 300 < len(data.test.labels)
    assert len(data.class_names) == 8
    assert data.train.inputs["input_ids"].shape[1] <= 48
