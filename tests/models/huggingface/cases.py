"""Tiny networks of the library transformers, and folders as people bring them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor, nn

from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.families.huggingface import TransformersConfig, TransformersFamily
from models.family import build_family
from models.randomness import generator, seeded_torch
from models.surroundings import NOTHING, Surroundings

N_TOKENS, VOCABULARY = 6, 50
IMAGES = DataShape({"x": (1, 8, 8)}, 3)
TEXT = DataShape({"input_ids": (N_TOKENS,), "attention_mask": (N_TOKENS,)}, 3)

_ENCODER = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
_BERT = _ENCODER | {
    "vocab_size": VOCABULARY,
    "intermediate_size": 12,
    "max_position_embeddings": 20,
}
_VIT = _ENCODER | {"image_size": 8, "patch_size": 4, "num_channels": 1, "intermediate_size": 12}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "distilbert": {
        "vocab_size": VOCABULARY,
        "dim": 8,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 12,
        "max_position_embeddings": 20,
    },
    "gpt2": {
        "vocab_size": VOCABULARY,
        "n_embd": 8,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 20,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 1,
    },
    "vit": _VIT,
    "deit": _VIT,
    "resnet": {
        "num_channels": 1,
        "embedding_size": 4,
        "hidden_sizes": [4, 8],
        "depths": [1, 2],
        "layer_type": "basic",
    },
    "convnext": {
        "num_channels": 1,
        "patch_size": 2,
        "hidden_sizes": [4, 8],
        "depths": [1, 2],
        "num_stages": 2,
    },
}
FOR_IMAGES = {"vit", "deit", "resnet", "convnext"}


def config_of(model_type: str, **changes: object) -> dict[str, Any]:
    """The configuration of a tiny network."""
    return {"model_type": model_type, **ARCHITECTURES[model_type], **changes}


def task_of(model_type: str) -> str:
    """What the architecture is for."""
    return "image_classification" if model_type in FOR_IMAGES else "sequence_classification"


def shape_of(model_type: str) -> DataShape:
    """Data that it takes."""
    return IMAGES if model_type in FOR_IMAGES else TEXT


def family(surroundings: Surroundings = NOTHING, **options: object) -> TransformersFamily:
    """Open a family by its options."""
    built = build_family(TransformersConfig.model_validate(options), surroundings)
    assert isinstance(built, TransformersFamily)
    return built


def inline(model_type: str, **changes: object) -> TransformersFamily:
    """Open the family of a tiny network."""
    return family(task=task_of(model_type), config=config_of(model_type, **changes))


def network_of(model_type: str, seed: int = 0) -> nn.Module:
    """Build a tiny network."""
    with seeded_torch(seed):
        return inline(model_type).build(shape_of(model_type))


def inputs_of(shape: DataShape, n_samples: int) -> dict[str, Tensor]:
    """Draw inputs; texts are of different lengths."""
    stream = generator(0, "inputs")
    if "x" in shape.inputs:
        return {"x": torch.randn(n_samples, *shape.inputs["x"], generator=stream)}
    lengths = torch.arange(n_samples) % (N_TOKENS - 1) + 2
    mask = (torch.arange(N_TOKENS) < lengths.unsqueeze(1)).long()
    tokens = torch.randint(4, VOCABULARY, (n_samples, N_TOKENS), generator=stream)
    return {"input_ids": tokens * mask, "attention_mask": mask}


def examples_of(shape: DataShape, n_samples: int) -> Examples:
    """Draw labelled samples."""
    return Examples(inputs_of(shape, n_samples), torch.arange(n_samples) % shape.n_classes)


def write_tokenizer(folder: Path, **options: object) -> None:
    """Write a tokenizer of ten words, as the library would find it.

    Args:
        folder: Is created.
        options: Of ``tokenizer_config.json``, beside its class.
    """
    words = ["[PAD]", "[UNK]", "[END]", *["a", "sentence", "of", "few", "words", "and", "numbers"]]
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    document = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", **options}
    (folder / "tokenizer_config.json").write_text(json.dumps(document))


def write_folder(folder: Path, model_type: str = "bert", **changes: object) -> None:
    """Write a model's folder with a configuration and, for text, a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_of(model_type, **changes)))
    if model_type not in FOR_IMAGES:
        write_tokenizer(folder, pad_token="[PAD]")
