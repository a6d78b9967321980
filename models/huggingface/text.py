"""Text by a tokenizer of the library, from the files of a folder."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from models.huggingface.folder import (
    CONFIG,
    TOKENIZER_FILES,
    TOKENIZER_OPTIONS,
    VOCABULARIES,
    ModelFolder,
    refuse_code,
)
from models.huggingface.library import transformers_library
from search.errors import InvalidInputError

PadToken = Literal["own", "eos"]
# Where neither network nor tokenizer have a limit: what fits into memory is far less.
LONGEST = 8192
INPUT_NAMES = ("input_ids", "attention_mask")
# Tokens and merges, of which each takes the library some 400 bytes: room for 250,000 tokens with half a million merges
# of two.
MOST_ENTRIES = 2_000_000


def _no_limit() -> int:
    return LONGEST


def _any_vocabulary() -> None:
    return None


class FolderTokenizer:
    """A ``TextPreprocessing``; its files are read, and complained about, when text is to be encoded."""

    def __init__(
        self,
        folder: ModelFolder,
        *,
        pad_token: PadToken = "own",
        limit: Callable[[], int] = _no_limit,
        vocabulary: Callable[[], int | None] = _any_vocabulary,
        padding_side: Literal["left", "right"] | None = None,
    ) -> None:
        """Bind the folder.

        Args:
            folder: With the files of a tokenizer.
            pad_token: What fills up texts: the tokenizer's own token for that, or its token for the end.
            limit: The most tokens that networks take.
            vocabulary: How many tokens networks know; None if there is no limit.  Like ``limit`` it is sent to other
                processes with the tokenizer.
            padding_side: Where texts are filled up; where the tokenizer says if None.
        """
        self._folder, self._pad_token, self._padding_side = folder, pad_token, padding_side
        self._limit, self._vocabulary = limit, vocabulary

    @property
    def fingerprint(self) -> str:
        """Of files, options and versions."""
        digest = hashlib.sha256()
        versions = (
            transformers_library(self._folder.field).__version__,
            _version_of_tokenizers(),
        )
        options = [self._pad_token, self._padding_side, self.longest, *versions]
        digest.update(json.dumps(options).encode())
        for name, content in sorted(self._files.items()):
            digest.update(f"{name} {len(content)} ".encode() + content)
        return digest.hexdigest()

    @property
    def longest(self) -> int:
        """The least of what networks, tokenizer and memory allow."""
        return min(self._limit(), int(min(self.tokenizer.model_max_length, LONGEST)), LONGEST)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Tokens, and which of them are no filling."""
        # Asked for before any text is read: what is wrong with the tokenizer shows here.
        assert self.tokenizer is not None
        return INPUT_NAMES

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary, added tokens included."""
        return len(self.tokenizer)

    @property
    def pad_token_id(self) -> int:
        """The token that fills up texts."""
        return int(self.tokenizer.pad_token_id)

    def encode(self, texts: Sequence[str], max_length: int) -> Mapping[str, Tensor]:
        """Tokenize, cut and fill up."""
        encoded = self.tokenizer(
            list(texts),
            padding="longest",
            truncation=True,
            max_length=min(max_length, self.longest),
            return_token_type_ids=False,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return {name: encoded[name] for name in INPUT_NAMES}

    def files(self) -> dict[str, bytes]:
        """The tokenizer as it is used, as files that the library loads."""
        with tempfile.TemporaryDirectory() as name:
            self.tokenizer.save_pretrained(name)
            return {path.name: path.read_bytes() for path in Path(name).iterdir() if path.is_file()}

    @property
    def exists(self) -> bool:
        """Whether the folder has a tokenizer at all."""
        return not VOCABULARIES.isdisjoint(self._files)

    @cached_property
    def tokenizer(self) -> Any:
        """The library's object.

        Raises:
            InvalidInputError: There is none, it is none of the fast ones, or it cannot fill up texts.
        """
        library = transformers_library(self._folder.field)
        if not self.exists:
            raise InvalidInputError(
                self._folder.field,
                f"a folder with {', '.join(sorted(self._files)) or 'no file of a tokenizer'}",
                "a folder with tokenizer.json; model.tokenizer may name another folder than the model's",
            )
        with self._copied() as folder:
            try:
                tokenizer = library.AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
            except Exception as error:
                raise InvalidInputError(
                    self._folder.field,
                    f"a tokenizer that the library refuses: {type(error).__name__}: {str(error)[:300]}",
                    "a complete tokenizer.json",
                ) from error
        if not tokenizer.is_fast:
            raise InvalidInputError(
                self._folder.field, type(tokenizer).__name__, "a tokenizer with tokenizer.json"
            )
        self._settle_padding(tokenizer)
        known = self._vocabulary()
        if known is not None and len(tokenizer) > known:
            raise InvalidInputError(
                self._folder.field,
                f"a tokenizer with {len(tokenizer):,} tokens",
                f"at most the {known:,} that the model knows (vocab_size)",
            )
        return tokenizer

    def _settle_padding(self, tokenizer: Any) -> None:
        if self._padding_side is not None:
            tokenizer.padding_side = self._padding_side
        if tokenizer.pad_token is not None:
            return
        if self._pad_token == "own":
            raise InvalidInputError(
                "model.pad_token",
                "a tokenizer without a token for padding",
                "'eos', which fills up with the token for the end of a text, or a tokenizer that has a pad_token",
            )
        if tokenizer.eos_token is None:
            raise InvalidInputError(
                "model.pad_token",
                "'eos', which this tokenizer lacks too",
                "a tokenizer with either",
            )
        tokenizer.pad_token = tokenizer.eos_token

    @cached_property
    def _files(self) -> dict[str, bytes]:
        options = self._folder.read_json(TOKENIZER_OPTIONS)
        files = self._folder.read_files(TOKENIZER_FILES)
        for name, content in files.items():
            # Not parsed for that: commas are between entries, and hardly a token has one.
            n_entries = content.count(b"," if name.endswith(".json") else b"\n")
            if n_entries > MOST_ENTRIES:
                raise InvalidInputError(
                    self._folder.field,
                    f"{name} with {n_entries:,} entries",
                    f"a tokenizer with at most {MOST_ENTRIES:,} tokens and merges",
                )
        if options is not None:
            # Paths of whoever saved the tokenizer.
            kept = {name: x for name, x in options.items() if not name.endswith("_file")}
            files[TOKENIZER_OPTIONS] = json.dumps(kept).encode()
        return files

    @contextmanager
    def _copied(self) -> Iterator[str]:
        """A folder with nothing but the files that were read."""
        files = dict(self._files)
        if TOKENIZER_OPTIONS not in files and (config := self._folder.read(CONFIG)) is not None:
            # Tells which class of tokenizer it is, where nothing else does.
            document = json.loads(config)
            refuse_code(document, self._folder.field)
            files[CONFIG] = json.dumps({"model_type": document.get("model_type")}).encode()
        with tempfile.TemporaryDirectory() as name:
            for file, content in files.items():
                (Path(name) / file).write_bytes(content)
            yield name


def _version_of_tokenizers() -> str:
    import tokenizers  # noqa: PLC0415 - of the extra

    return str(tokenizers.__version__)
