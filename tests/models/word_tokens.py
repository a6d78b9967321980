"""A tokenizer that can be read at a glance: a number for each word, shorter texts padded on the left."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

PADDING = 7


class WordTokens:
    """Numbers words by their checksum; counts how many texts it was given."""

    def __init__(self, longest: int = 16, fingerprint: str = "words") -> None:
        self.longest, self.fingerprint = longest, fingerprint
        self.input_names = ("input_ids", "attention_mask")
        self.n_encoded = 0

    def encode(self, texts: Sequence[str], max_length: int) -> Mapping[str, Tensor]:
        self.n_encoded += len(texts)
        rows = [
            [10 + zlib.crc32(word.encode()) % 1000 for word in text.split()][:max_length]
            for text in texts
        ]
        width = max(len(row) for row in rows)
        padding = [width - len(row) for row in rows]
        ids = [[PADDING] * empty + row for empty, row in zip(padding, rows, strict=True)]
        mask = [[0] * empty + [1] * (width - empty) for empty in padding]
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
