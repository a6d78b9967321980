"""Labelled text from a table: csv, tsv, jsonl or parquet, tokenised as the networks' family wants it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import Field, model_validator

from models.data.class_names import in_order
from models.data.dataset import DATASETS, DatasetConfig, DatasetContext, Examples, LabelledData
from models.data.prepared_cache import PreparedCache
from models.data.preprocessing import TextPreprocessing
from models.data.shapes import DataShape
from models.data.tables.labelled_text import Columns, LabelCounts, count_labels, labelled_rows
from models.data.tables.source import Encoding, Format, Quoting, TableSource, format_of
from models.data.tokens import tokenised
from search.errors import DataError, InvalidInputError

# Of tokens where the options say nothing; a longer text costs every sample's time, because all are padded alike.
USUAL_LENGTH = 128
# Of all samples' tokens together, each 8 bytes.
MAX_TOKEN_BYTES = 2 << 30
TRAIN, VALIDATION, TEST = "train", "validation", "test"


class TextConfig(DatasetConfig):
    """Options of labelled text in a file."""

    kind: Literal["text"] = "text"
    path: str = Field(
        min_length=1, description="csv, tsv, jsonl or parquet file below the inputs folder"
    )
    validation_path: str | None = Field(
        None, min_length=1, description="own validation samples, with the same columns"
    )
    test_path: str | None = Field(
        None, min_length=1, description="own test samples, with the same columns"
    )
    format: Format | None = Field(None, description="of the files; by their suffix if null")
    text: str | tuple[str, ...] = Field(
        "text", min_length=1, description="column, or columns, which are joined by line breaks"
    )
    label: str = Field("label", min_length=1, description="column of words or integers")
    group: str | None = Field(
        None,
        min_length=1,
        description="column; samples of one group (a person, a document) are never in two parts",
    )
    encoding: Encoding = Field("utf-8", description="of csv, tsv and jsonl")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="if null a comma, in tsv a tab"
    )
    quoting: Quoting = Field(
        "auto", description="quotation marks that enclose fields; auto: double in csv, none in tsv"
    )
    max_length: int | None = Field(
        None,
        ge=1,
        le=65536,
        description=f"tokens; longer texts are cut off. {USUAL_LENGTH} if null, or fewer where the networks take fewer",
    )

    @property
    def columns(self) -> Columns:
        """The columns by what they mean."""
        text = (self.text,) if isinstance(self.text, str) else self.text
        return Columns(text, self.label, self.group)

    @model_validator(mode="after")
    def _columns_differ(self) -> TextConfig:
        names = self.columns.names
        if len(set(names)) < len(names):
            raise ValueError(f"text, label and group must be different columns, not {list(names)}")
        if self.delimiter is not None and self.delimiter in "\r\n\"' \0":
            raise ValueError(
                f"delimiter {self.delimiter!r} must not be a quote, a space or a line end"
            )
        return self


@dataclass(slots=True)
class _Part:
    """Samples of one file, in its order."""

    texts: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


@DATASETS.register(TextConfig)
class LabelledText:
    """Reads up to three tables; classes are the labels of the first, in natural order."""

    def __init__(self, config: TextConfig, context: DatasetContext) -> None:
        """Bind the options; the files are looked for but not read."""
        self._config, self._field = config, context.field
        if context.preprocessing.text is None:
            raise InvalidInputError(
                f"{context.field}.kind",
                "text, for a model without a tokenizer",
                "a model of a kind that reads text, transformers say; or numbers made of the texts, as arrays",
            )
        self._rules: TextPreprocessing = context.preprocessing.text
        self._cache = PreparedCache(context.surroundings.cache)
        self._length = self._max_length()
        self._sources = {
            part: self._source(path, name, context)
            for part, path, name in (
                (TRAIN, config.path, "path"),
                (VALIDATION, config.validation_path, "validation_path"),
                (TEST, config.test_path, "test_path"),
            )
            if path is not None
        }
        self._counts: LabelCounts | None = None

    def shape(self) -> DataShape:
        """Read every row once to count the classes; the length is the most tokens that a text can have."""
        counts = self._counted()
        n_inputs = len(self._rules.input_names)
        size = counts.n_rows * self._length * n_inputs * torch.int64.itemsize
        if size > MAX_TOKEN_BYTES:
            raise DataError(
                f"{self._field}.max_length",
                f"{self._length} for each of {counts.n_rows:,} texts, {size:,} bytes of tokens",
                f"at most {MAX_TOKEN_BYTES:,} bytes: shorter or fewer texts",
            )
        inputs = dict.fromkeys(self._rules.input_names, (self._length,))
        return DataShape(inputs, len(counts.counts))

    def n_samples(self) -> int:
        """Rows of the file that is split."""
        return self._counted().n_rows

    def own_parts(self) -> frozenset[str]:
        """Those for which there are files."""
        return frozenset(self._sources) - {TRAIN}

    def load(self) -> LabelledData:
        """Read the files and tokenise all texts together, or find them tokenised."""
        names = in_order(self._counted().counts)
        numbers = {name: number for number, name in enumerate(names)}
        parts = {part: self._read(source, numbers) for part, source in self._sources.items()}
        self._check_groups(parts)
        tokens = tokenised(
            [text for part in parts.values() for text in part.texts],
            self._rules,
            self._length,
            self._cache,
        )
        examples: dict[str, Examples] = {}
        start = 0
        for name, part in parts.items():
            stop = start + len(part.texts)
            rows = {key: tensor[start:stop] for key, tensor in tokens.items()}
            examples[name] = Examples(rows, torch.tensor(part.labels))
            start = stop
        train = parts[TRAIN]
        return LabelledData(
            examples[TRAIN],
            names,
            _sample_names(train.texts),
            examples.get(VALIDATION),
            examples.get(TEST),
            groups=tuple(train.groups) if self._config.group else None,
            own_samples={
                name: _sample_names(part.texts) for name, part in parts.items() if name != TRAIN
            },
        )

    def normalised(self, train: Examples, part: Examples) -> Examples:  # noqa: ARG002
        """Nothing to do: tokens are numbers of words."""
        return part

    def _max_length(self) -> int:
        asked, longest = self._config.max_length, self._rules.longest
        if asked is not None and asked > longest:
            raise InvalidInputError(
                f"{self._field}.max_length",
                asked,
                f"at most {longest} tokens, which the model takes",
            )
        return asked or min(USUAL_LENGTH, longest)

    def _source(self, path: str, name: str, context: DatasetContext) -> TableSource:
        config, where = self._config, f"{context.field}.{name}"
        found = context.surroundings.inputs.resolve(path, where)
        return TableSource(
            found,
            where,
            config.format or format_of(found, where),
            config.encoding,
            config.delimiter,
            config.quoting,
        )

    def _counted(self) -> LabelCounts:
        """Classes of the first file, once all files have been read and found in order."""
        if self._counts is None:
            for source in self._sources.values():
                source.check_size()
            counts = count_labels(self._sources[TRAIN], self._config.columns)
            if len(counts.counts) < 2:
                raise self._sources[TRAIN].error(
                    f"one class, {next(iter(counts.counts))!r}",
                    f"labels of at least two classes in column {self._config.label!r}",
                )
            for part in self.own_parts():
                self._check_classes(part, counts)
            self._counts = counts
        return self._counts

    def _check_classes(self, part: str, known: LabelCounts) -> None:
        source = self._sources[part]
        own = count_labels(source, self._config.columns)
        for name, place in own.first.items():
            if name not in known.counts:
                some = ", ".join(repr(known) for known in in_order(known.counts)[:20])
                raise source.error(
                    f"the label {name!r}", f"a class of {self._config.path}: {some}", place
                )

    def _read(self, source: TableSource, numbers: dict[str, int]) -> _Part:
        part, columns = _Part(), self._config.columns
        for row in labelled_rows(source, columns.names, len(columns.text)):
            number = numbers.get(row.label)
            if number is None:
                raise source.error("another label than a moment ago", "a file that stays as it is")
            part.texts.append(row.text)
            part.labels.append(number)
            part.groups.append(row.group)
        return part

    def _check_groups(self, parts: dict[str, _Part]) -> None:
        """Refuse own parts that share a group with another part."""
        if self._config.group is None:
            return
        owners: dict[str, str] = {}
        for name, part in parts.items():
            for group in set(part.groups):
                other = owners.setdefault(group, name)
                if other != name:
                    raise self._sources[name].error(
                        f"group {group!r}, which {self._sources[other].path.name} has too",
                        "groups of its own; or no dataset.group",
                    )


def _sample_names(texts: Sequence[str]) -> tuple[str, ...]:
    """Names by content: the same text is the same sample, whichever file or row it stands in."""
    return tuple(f"text {hashlib.sha256(text.encode()).hexdigest()[:32]}" for text in texts)
