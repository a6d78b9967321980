"""A folder as transformers writes it, read file by file, so that no link and no large file gets past.

The library is never pointed at a user's folder: it would follow links, and read whatever else the files name.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any

from models.inputs import InputFolder
from search.errors import InvalidInputError

CONFIG, TOKENIZER_OPTIONS, IMAGE_OPTIONS = (
    "config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
)
# Every file that a tokenizer of the library may consist of, but for Python files, and pickles of old.
TOKENIZER_FILES = (
    "tokenizer.json",
    TOKENIZER_OPTIONS,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "bpe.codes",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
# One of these a tokenizer needs.
VOCABULARIES = frozenset(TOKENIZER_FILES) - {
    TOKENIZER_OPTIONS,
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
}
# Of all files of a tokenizer together.  The largest that people use take about 40 MB.
MOST_FILE_BYTES = 64 * 2**20
MOST_JSON_BYTES = 8 * 2**20
MOST_DEPTH = 50

# What makes the library run code that comes with a model, or fetch some.
CODE_KEYS = frozenset(
    {
        "auto_map",
        "custom_pipelines",
        "quantization_config",
        "trust_remote_code",
        "use_kernels",
    }
)


class ModelFolder:
    """One folder below the inputs."""

    def __init__(self, inputs: InputFolder, path: str, field: str) -> None:
        """Bind the folder; its files are looked for when they are asked for.

        Args:
            inputs: What the folder, and every file in it, must lie below.
            path: Of the folder.
            field: Where the path stood in the spec, for errors.
        """
        self._inputs, self._path, self.field = inputs, path, field

    def read(self, name: str, limit: int = MOST_FILE_BYTES) -> bytes | None:
        """Read one file; None if there is none.

        Raises:
            InvalidInputError: It leads out of the inputs, or is too large.
        """
        relative = str(PurePosixPath(self._path, name))
        try:
            path = self._inputs.resolve(relative, self.field)
        except InvalidInputError as error:
            if self._exists(relative) or name == CONFIG:
                raise
            del error
            return None
        size = path.stat().st_size
        if size > limit:
            raise InvalidInputError(
                self.field, f"{name} of {size:,} bytes", f"at most {limit:,} bytes"
            )
        return path.read_bytes()

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read one JSON file; None if there is none.

        Raises:
            InvalidInputError: It holds something else than an object, or names code.
        """
        content = self.read(name, MOST_JSON_BYTES)
        if content is None:
            return None
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(self.field, f"{name}: {error}", "a JSON file") from error
        if not isinstance(document, dict):
            raise InvalidInputError(
                self.field, f"{name} with {type(document).__name__}", "an object"
            )
        refuse_code(document, self.field)
        return document

    def read_files(self, names: Collection[str]) -> dict[str, bytes]:
        """Read those of some files that exist.

        Raises:
            InvalidInputError: One leads out of the inputs, or all together are too large.
        """
        contents: dict[str, bytes] = {}
        for name in names:
            content = self.read(name)
            if content is None:
                continue
            contents[name] = content
            size = sum(map(len, contents.values()))
            if size > MOST_FILE_BYTES:
                raise InvalidInputError(
                    self.field,
                    f"{', '.join(contents)} of {size:,} bytes together",
                    f"at most {MOST_FILE_BYTES:,} bytes",
                )
        return contents

    def _exists(self, relative: str) -> bool:
        try:
            # A link that leads nowhere counts: it was meant to be a file.
            path = self._inputs.root / relative
            return path.is_symlink() or path.exists()
        except (OSError, ValueError):
            return True


def refuse_code(document: object, field: str) -> None:
    """Refuse a configuration that makes the library run what came with it, wherever in it that stands.

    Raises:
        InvalidInputError: It does, and the key is named; or it is nested deeper than any.
    """
    # Without recursion: what is nested as deeply as JSON may be is an ordinary refusal too.
    rest = [(document, 1)]
    while rest:
        value, depth = rest.pop()
        if depth > MOST_DEPTH:
            raise InvalidInputError(
                field,
                f"a configuration that is nested more than {MOST_DEPTH} deep",
                "the options of one architecture or tokenizer",
            )
        if isinstance(value, list):
            rest += [(inner, depth + 1) for inner in value]
        elif isinstance(value, dict):
            for key in CODE_KEYS & value.keys():
                if value[key] not in (None, False):
                    raise InvalidInputError(
                        field,
                        f"a configuration with {key!r}",
                        "an architecture of the library itself: code or formats that come with a model are never run; "
                        "one's own module can be built by model.kind python",
                    )
            rest += [(inner, depth + 1) for inner in value.values()]
