"""What becomes of configurations: networks, or words about what is wrong with them."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from models.data.shapes import DataShape
from models.huggingface import architecture
from models.surroundings import Surroundings
from models.weights.file import FileConfig, FileWeights
from models.weights_source import WeightsContext
from search.errors import InvalidInputError
from tests.models.huggingface.cases import (
    IMAGES,
    TEXT,
    config_of,
    family,
    inline,
    network_of,
    write_folder,
)

TEXTS = "sequence_classification"


def test_names_of_tensors_are_the_library_s_own() -> None:
    from transformers import ViTConfig, ViTForImageClassification

    own = ViTForImageClassification(ViTConfig(**config_of("vit"), num_labels=3))
    assert list(network_of("vit").state_dict()) == list(own.state_dict())


def test_names_in_published_files_become_the_network_s_own(tmp_path: Path) -> None:
    network = network_of("vit")
    # As people share it: with the names that the library had when the architecture was new.
    network.save_pretrained(tmp_path)  # type: ignore[operator]
    published = list(load_file(tmp_path / "model.safetensors"))
    names = inline("vit").network_names([*published, "unknown"], IMAGES)
    assert set(names.values()) == {*network.state_dict(), "unknown"}
    base = inline("bert").network_names(["embeddings.LayerNorm.gamma", "pooler.dense.bias"], TEXT)
    assert list(base.values()) == ["bert.embeddings.LayerNorm.weight", "bert.pooler.dense.bias"]


@pytest.mark.parametrize("name", ["vit", "bert"])
def test_a_published_folder_is_a_source_bit_for_bit(name: str, tmp_path: Path) -> None:
    network = network_of(name)
    network.save_pretrained(tmp_path / "published")  # type: ignore[operator]
    context = WeightsContext(
        inline(name), IMAGES if name == "vit" else TEXT, Surroundings.of(tmp_path), 0, "target"
    )
    weights = FileWeights(FileConfig(path="published"), context)
    read = weights.load(0)
    assert weights.report().n_matched == len(network.state_dict()) == len(read)
    assert all(torch.equal(read[key], own) for key, own in network.state_dict().items())
    if name == "vit":
        assert "by names of published files" in weights.report().summary


def test_weights_are_float32_whatever_a_model_was_saved_in() -> None:
    network = inline("bert", dtype="bfloat16").build(TEXT)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_a_folder_gives_the_architecture_and_its_number_of_classes_does_not_matter(
    tmp_path: Path,
) -> None:
    write_folder(tmp_path / "mine", id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1})
    built = family(Surroundings.of(tmp_path), task=TEXTS, path="mine").build(TEXT)
    assert built.get_parameter("classifier.weight").shape == (3, 8)


def test_a_family_with_a_tokenizer_is_the_same_in_another_process(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    here = family(Surroundings.of(tmp_path), task=TEXTS, path="mine")
    tokenizer = here.preprocessing().text
    assert tokenizer is not None
    there = pickle.loads(pickle.dumps(here)).preprocessing().text  # noqa: S301 - its own bytes
    assert (tokenizer.fingerprint, tokenizer.longest) == (there.fingerprint, there.longest)
    texts = ["a few words", "numbers"]
    torch.testing.assert_close(tokenizer.encode(texts, 8), there.encode(texts, 8))


@pytest.mark.parametrize("given", [{}, {"path": "a", "config": {}}, {"hub": "a/b", "path": "a"}])
def test_exactly_one_of_path_config_and_hub_is_needed(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of path, config and hub"):
        family(task=TEXTS, **given)


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        ({"model_type": "brt"}, "model.config.model_type", "such as bert"),
        ({}, "model.config.model_type", "None"),
        (config_of("vit"), "model.config.model_type", "for sequence_classification"),
        (
            config_of("bert", hidden_sice=3),
            "model.config.hidden_sice",
            "did you mean 'hidden_size'",
        ),
        (config_of("bert", hidden_size=7), "model.config", "not a multiple"),
        (config_of("bert", hidden_size="wide"), "model.config", "hidden_size"),
        (config_of("bert", num_attention_heads=0), "model.config", "library refuses"),
        (config_of("bert", hidden_act="magic"), "model.config", "magic"),
        (config_of("bert", num_hidden_layers=10**6), "num_hidden_layers", "at most 1024 layers"),
    ],
)
def test_a_configuration_of_no_network_is_refused(
    config: dict[str, object], field: str, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        family(task=TEXTS, config=config).build(TEXT)
    assert field in caught.value.field


@pytest.mark.parametrize(
    "extra",
    [
        {"auto_map": {"AutoModel": "code.Model"}},
        {"quantization_config": {"quant_method": "gptq"}},
        {"backbone_config": {"auto_map": {"AutoModel": "elsewhere--code.Model"}}},
        {"use_kernels": True},
    ],
)
def test_code_that_comes_with_a_model_is_refused(extra: dict[str, Any], tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", **extra)
    with pytest.raises(InvalidInputError, match=r"never run.*model.kind python"):
        family(Surroundings.of(tmp_path), task=TEXTS, path="mine")
    with pytest.raises(InvalidInputError, match="never run"):
        inline("bert", **extra)


def nested(depth: int, *, in_lists: bool, value: Any = 1) -> Any:
    """Something inside of something inside of something."""
    for _ in range(depth):
        value = [value] if in_lists else {"a": value}
    return value


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (nested(900, in_lists=True), "nested more than 50 deep"),
        (nested(900, in_lists=False), "nested more than 50 deep"),
        ([[]] * 10_001, "more than 10,000 values"),
    ],
)
def test_a_configuration_larger_than_any_is_refused_before_it_is_looked_at(
    extra: Any, words: str, tmp_path: Path
) -> None:
    config = config_of("bert", unheard_of=extra)
    with pytest.raises(InvalidInputError, match=f"^model.config: a configuration .*{words}"):
        family(task=TEXTS, config=config)
    write_folder(tmp_path / "mine")
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInputError, match=f"^model.path: a configuration .*{words}"):
        family(Surroundings.of(tmp_path), task=TEXTS, path="mine")


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("resnet", {"embedding_size": 0}),
        ("convnext", {"patch_size": 0}),
        ("convnext", {"patch_size": [1]}),
    ],
)
def test_a_network_that_can_be_built_but_not_applied_is_refused(
    model_type: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError, match=f"{model_type}' that the library refuses") as found:
        inline(model_type, **changes).build(IMAGES)
    assert found.value.field == "model.config"


def test_names_of_very_many_classes_are_no_large_configuration() -> None:
    names = {str(number): f"class {number}" for number in range(21_843)}
    config = config_of("vit", id2label=names, label2id={n: i for i, n in names.items()})
    assert family(task="image_classification", config=config).build(IMAGES) is not None


def test_code_is_found_however_deep_it_lies() -> None:
    config = config_of("bert", unheard_of=nested(40, in_lists=True, value={"auto_map": "x"}))
    with pytest.raises(InvalidInputError, match="'auto_map'"):
        family(task=TEXTS, config=config)


def test_a_configuration_that_multiplies_modules_without_end_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = {"hidden_size": 8, "embedding_size": 8, "intermediate_size": 8, "vocab_size": 50}
    config = {"model_type": "albert", "num_attention_heads": 2, "num_hidden_groups": 10**7, **sizes}
    monkeypatch.setattr(architecture, "MOST_MODULES", 500)
    with pytest.raises(InvalidInputError, match="'albert' with more than 500 modules") as refusal:
        family(task="sequence_classification", config=config).build(TEXT)
    assert refusal.value.field == "model.config"
    # What was counted for one network is not counted for the next.
    for seed in range(9):
        network_of("bert", seed)


def test_no_kernel_from_elsewhere_computes_attention() -> None:
    network = family(
        task=TEXTS, config=config_of("bert", _attn_implementation="kernels-community/x")
    ).build(TEXT)
    assert network.config._attn_implementation == "sdpa"  # type: ignore[union-attr]


def test_a_model_on_the_hub_needs_the_operator_s_word(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="TRANSFERMASK_ALLOW_DOWNLOADS=true"):
        family(Surroundings.of(tmp_path), task=TEXTS, hub="someone/model")


def test_what_the_hub_gives_is_read_like_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked = []

    def snapshot(name: str, **options: object) -> str:
        asked.append((name, options["revision"], options["token"]))
        folder = Path(str(options["cache_dir"])) / "snapshots" / "1"
        write_folder(folder)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    surroundings = Surroundings(
        Surroundings.of(tmp_path).inputs, tmp_path / "cache", may_download=True
    )
    found = family(surroundings, task=TEXTS, hub="someone/model", revision="v2")
    assert found.build(TEXT).get_parameter("classifier.weight").shape == (3, 8)
    assert asked == [("someone/model", "v2", False)]

    def unreachable(*args: object, **options: object) -> str:
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(InvalidInputError, match=r"cannot be fetched: OSError: no route"):
        family(surroundings, task=TEXTS, hub="someone/model")


@pytest.mark.parametrize(
    ("path", "words"),
    [("nowhere", "existing file"), ("../mine", "leads out"), ("/mine", "a path relative")],
)
def test_folders_that_may_not_be_read_are_refused(path: str, words: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    (tmp_path / "inputs").mkdir()
    with pytest.raises(InvalidInputError, match=words) as caught:
        family(Surroundings.of(tmp_path / "inputs"), task=TEXTS, path=path)
    assert caught.value.field == "model.path"


@pytest.mark.parametrize("content", ["[]", "{", '"text"', "[" * 100_000])
def test_a_config_that_is_no_object_is_refused(content: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    (tmp_path / "mine" / "config.json").write_text(content)
    with pytest.raises(InvalidInputError, match=r"model.path: config.json"):
        family(Surroundings.of(tmp_path), task=TEXTS, path="mine")


def test_links_out_of_the_inputs_are_refused_file_by_file(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere")
    write_folder(tmp_path / "inputs" / "mine")
    tokenizer = tmp_path / "inputs" / "mine" / "tokenizer.json"
    tokenizer.unlink()
    tokenizer.symlink_to(tmp_path / "elsewhere" / "tokenizer.json")
    found = family(Surroundings.of(tmp_path / "inputs"), task=TEXTS, path="mine")
    text = found.preprocessing().text
    assert text is not None
    with pytest.raises(InvalidInputError, match="leads out of it"):
        _ = text.fingerprint


@pytest.mark.parametrize(
    ("model_type", "inputs", "words"),
    [
        ("vit", {"x": (3, 8, 8)}, r"\(1, height, width\).*num_channels"),
        ("vit", {"x": (1, 9, 9)}, "doesn't match model"),
        ("vit", {"x": (8, 8)}, "height, width"),
        ("convnext", {"x": (1, 1, 1)}, "dataset: inputs of shape"),
        ("bert", {"x": (1, 8, 8)}, "input_ids and attention_mask"),
        ("bert", {"input_ids": (21,)}, "at most the 20"),
        # It counts positions from the number of its padding on.
        ("roberta", {"input_ids": (19,)}, "at most the 18"),
        ("bert", {"input_ids": (6,), "wordiness": (6,)}, "inputs named wordiness"),
    ],
)
def test_data_that_a_network_does_not_take_are_refused(
    model_type: str, inputs: dict[str, tuple[int, ...]], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        inline(model_type).build(DataShape(inputs, 3))
    assert caught.value.field == "dataset"


def test_convolutional_networks_take_images_of_any_size() -> None:
    network = inline("resnet").build(DataShape({"x": (1, 11, 13)}, 3))
    assert network(x=torch.randn(2, 1, 11, 13)).shape == (2, 3)
    assert inline("resnet").build(IMAGES) is not None


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'transfermask\[transformers\]'"):
        inline("bert")


def test_companion_files_name_the_classes(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    found = family(Surroundings.of(tmp_path), task=TEXTS, path="mine")
    files = found.companion_files(TEXT, ("good", "bad", "neither"))
    config = json.loads(files["config.json"])
    assert config["id2label"] == {"0": "good", "1": "bad", "2": "neither"}
    assert config["label2id"] == {"good": 0, "bad": 1, "neither": 2}
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert {"tokenizer.json", "tokenizer_config.json"} <= files.keys()


def test_arrays_have_the_processor_that_came_with_the_model_or_none(tmp_path: Path) -> None:
    assert set(inline("resnet").companion_files(IMAGES, "abc")) == {"config.json"}
    write_folder(tmp_path / "mine", "resnet")
    own = tmp_path / "mine" / "preprocessor_config.json"
    own.write_text(json.dumps({"size": 20, "image_mean": [0.4], "image_std": [0.2]}))
    found = family(Surroundings.of(tmp_path), task="image_classification", path="mine")
    options = json.loads(found.companion_files(IMAGES, "abc")["preprocessor_config.json"])
    assert (options["size"], options["image_mean"]) == ({"height": 20, "width": 20}, [0.4])
