"""From a configuration of the library to a network that takes a data set's inputs and gives logits.

The network is the library's own module, so that its tensors have the library's names and its weights load with
``from_pretrained``; hooks rename an image on its way in and unpack the logits on their way out.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook

from models.huggingface.folder import refuse_code
from models.huggingface.library import transformers_library
from search.errors import InvalidInputError

TaskName = Literal["sequence_classification", "image_classification"]
AUTO_CLASSES: Mapping[TaskName, str] = {
    "sequence_classification": "AutoModelForSequenceClassification",
    "image_classification": "AutoModelForImageClassification",
}
# What depends on the data, on where a model was saved, or on how it shall be computed, is decided here.
DECIDED_KEYS = frozenset(
    {
        "attn_implementation",
        "dtype",
        "experts_implementation",
        "id2label",
        "label2id",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "problem_type",
        "return_dict",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "use_cache",
    }
)
# Keys that every configuration may have beside its class's own.
COMMON_KEYS = DECIDED_KEYS | {"architectures", "image_size", "model_type", "num_channels"}
# A configuration of a few bytes must not keep a process busy: what real models have is far below.
MOST_LAYERS = 1024
# The library copies configurations again and again.  Names of classes, which may be many, are not among the values.
MOST_VALUES = 10_000
# The keys that multiply parts of a network have too many names to be known: 1024 layers of a usual encoder are 20,000.
MOST_MODULES = 32_768

# Building swaps torch's own functions for a moment, for the whole process.
_building = Lock()


class Architecture:
    """One configuration and the networks that it describes."""

    def __init__(self, document: Mapping[str, Any], task: TaskName, field: str) -> None:
        """Bind a configuration; no network is built.

        Args:
            document: As in a ``config.json``.
            task: What the networks shall do.
            field: Where the configuration stood in the spec, for errors.

        Raises:
            InvalidInputError: It is none of the library's, or would run code that came with a model.
        """
        refuse_code(document, field)
        _refuse_large(document, field)
        self._document, self._task, self._field = _undecided(dict(document)), task, field
        self.model_type = self._known_type()
        _refuse_many_layers(self._document, field)

    @property
    def _library(self) -> Any:
        """Looked up each time: a module cannot be sent to other processes, a family is."""
        return transformers_library("model.kind")

    @property
    def is_for_images(self) -> bool:
        """Whether its networks see images."""
        return self._task == "image_classification"

    def refuse_unknown_keys(self) -> None:
        """Refuse what the configuration's class does not know: the library would ignore a misspelling.

        Raises:
            InvalidInputError: A key is unknown; the nearest is suggested.
        """
        config_class = self._library.CONFIG_MAPPING[self.model_type]
        known = {entry.name for entry in dataclasses.fields(config_class)} | COMMON_KEYS
        known |= set(getattr(config_class, "attribute_map", {}))
        for key in self._document:
            if key not in known:
                near = difflib.get_close_matches(key, sorted(known), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise InvalidInputError(
                    f"{self._field}.{key}", self._document[key], f"no such key here{hint}"
                )

    def config(self, class_names: Sequence[str], pad_token_id: int | None = None) -> Any:
        """Give the library's configuration object for so many classes.

        Raises:
            InvalidInputError: A value is none that the architecture can have.
        """
        options = dict(self._document)
        if pad_token_id is not None and options.get("pad_token_id") is None:
            options["pad_token_id"] = pad_token_id
        labels = dict(enumerate(class_names))
        try:
            config = self._library.CONFIG_MAPPING[options.pop("model_type")].from_dict(
                options | {"id2label": labels, "label2id": {n: i for i, n in labels.items()}}
            )
            config.problem_type = "single_label_classification"
            # The library looks through them to choose between the classes of one architecture.
            config.architectures = config.architectures or []
        except Exception as error:
            raise self._refused(error) from error
        return config

    def build(self, config: Any) -> nn.Module:
        """Build a network with fresh weights, in float32.

        Raises:
            InvalidInputError: The configuration describes no network, or none for the task.
        """
        auto_class = getattr(self._library, AUTO_CLASSES[self._task])
        if type(config) not in auto_class._model_mapping:
            raise InvalidInputError(
                f"{self._field}.model_type" if self._field == "model.config" else self._field,
                self.model_type,
                f"an architecture that the library has for {self._task}",
            )
        with _building:
            try:
                with _bounded_modules():
                    network: nn.Module = auto_class.from_config(config, dtype=torch.float32)
            except _TooManyModulesError as error:
                raise InvalidInputError(
                    self._field,
                    f"a configuration of {self.model_type!r} with more than {MOST_MODULES:,} modules",
                    f"at most {MOST_MODULES:,}; which of its numbers multiplies layers, groups or experts?",
                ) from error
            except Exception as error:
                raise self._refused(error) from error
        if self.is_for_images:
            network.register_forward_pre_hook(_pixels_from_x, with_kwargs=True)
        network.register_forward_hook(_logits)
        return network

    def network_names(self, network: nn.Module, names: Collection[str]) -> dict[str, str]:
        """What a network calls tensors that published files call so, as ``from_pretrained`` would find out.

        Renamings alone: where the library merges or splits tensors, the file's name stays.
        """
        loading = importlib.import_module("transformers.core_model_loading")
        mapping = importlib.import_module("transformers.conversion_mapping")
        renamings = [
            step
            for step in mapping.get_model_conversion_mapping(network)
            if isinstance(step, loading.WeightRenaming)
        ]
        prefix, state = getattr(network, "base_model_prefix", None), network.state_dict()
        return {
            name: loading.rename_source_key(name, renamings, [], prefix, state)[0] for name in names
        }

    def check_size(self, config: Any, image: tuple[int, ...]) -> None:
        """Apply a network without memory to images: some architectures take one size, some a least one.

        Raises:
            InvalidInputError: It does not take them; the library's own words say why.
        """
        with torch.device("meta"):
            network = self.build(config).eval()
            samples = torch.empty(2, *image)
        try:
            with torch.no_grad():
                network(x=samples)
        except (ValueError, RuntimeError) as error:
            # Code that looks at numbers cannot run here; it is no fault of the images.
            if "meta" in str(error).lower():
                return
            raise InvalidInputError(
                "dataset",
                f"inputs of shape {{'x': {image}}}: {_one_line(error)}",
                "images of a size that the model takes; its image_size, if it has one, says which",
            ) from error
        except Exception as error:
            # A division by a patch's side of 0, a stride that is a list: what else a network can be built with.
            raise self._refused(error) from error

    def reopened(self, folder: str) -> dict[str, Tensor]:
        """Read a folder with weights as users will: the state of the network that comes of it.

        Raises:
            RuntimeError: The folder lacks tensors of the network, or has others.
        """
        auto_class = getattr(self._library, AUTO_CLASSES[self._task])
        with _building, self._without_progress_bar():
            network, report = auto_class.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
        for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
            if report.get(problem):
                raise RuntimeError(f"{folder} has {problem} {sorted(report[problem])[:3]}")
        state: dict[str, Tensor] = network.state_dict()
        return state

    @contextmanager
    def _without_progress_bar(self) -> Iterator[None]:
        logging = self._library.utils.logging
        was_shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            if was_shown:
                logging.enable_progress_bar()

    def _known_type(self) -> str:
        given = self._document.get("model_type")
        known = sorted(self._library.CONFIG_MAPPING)
        if given not in known:
            near = difflib.get_close_matches(str(given), known, n=3) or ["bert", "vit", "resnet"]
            raise InvalidInputError(
                f"{self._field}.model_type" if self._field == "model.config" else self._field,
                f"model_type {given!r}",
                f"an architecture of the library, such as {', '.join(near)}",
            )
        return str(given)

    def _refused(self, error: Exception) -> InvalidInputError:
        return InvalidInputError(
            self._field,
            f"a configuration of {self.model_type!r} that the library refuses: {_one_line(error)}",
            "the configuration of a network that can be built",
        )


class _TooManyModulesError(Exception):
    """A network that is being built has more parts than any real one."""


@contextmanager
def _bounded_modules() -> Iterator[None]:
    """Count the modules that this thread puts into others, and end what has no end.

    Raises:
        _TooManyModulesError: There are more than ``MOST_MODULES``.
    """
    thread, count = get_ident(), 0

    def counted(module: nn.Module, name: str, submodule: nn.Module | None) -> None:  # noqa: ARG001
        nonlocal count
        count += get_ident() == thread
        if count > MOST_MODULES:
            raise _TooManyModulesError

    handle = register_module_module_registration_hook(counted)
    try:
        yield
    finally:
        handle.remove()


def _undecided(document: dict[str, Any]) -> dict[str, Any]:
    """What is left without what is decided here and what is private to the library, at every depth."""
    return {
        key: _undecided(value) if isinstance(value, dict) else value
        for key, value in document.items()
        if key not in DECIDED_KEYS and not key.startswith("_")
    }


def _refuse_large(document: Mapping[str, Any], field: str) -> None:
    """Refuse what no architecture's configuration comes near, before anything looks at it value by value."""
    rest: list[Any] = [document]
    count = 0
    while rest:
        value = rest.pop()
        inner = value
        if isinstance(value, Mapping):
            inner = [x for key, x in value.items() if key not in DECIDED_KEYS]
        count += len(inner)
        if count > MOST_VALUES:
            raise InvalidInputError(
                field,
                f"a configuration of more than {MOST_VALUES:,} values",
                "the options of one architecture, as its config.json has them",
            )
        rest += [x for x in inner if isinstance(x, dict | list)]


def _refuse_many_layers(document: Mapping[str, Any], field: str) -> None:
    for key, value in document.items():
        if isinstance(value, dict):
            _refuse_many_layers(value, f"{field}.{key}")
        counts = value if isinstance(value, list) else [value]
        numbers = [n for n in counts if isinstance(n, int) and not isinstance(n, bool)]
        if ("layer" in key or "depth" in key) and sum(numbers) > MOST_LAYERS:
            raise InvalidInputError(f"{field}.{key}", value, f"at most {MOST_LAYERS} layers")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _pixels_from_x(
    module: nn.Module,  # noqa: ARG001 - torch gives it
    args: tuple[Any, ...],
    options: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give the image by the library's name for it."""
    return args, {("pixel_values" if name == "x" else name): x for name, x in options.items()}


def _logits(module: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor:  # noqa: ARG001
    logits: Tensor = output.logits
    return logits
