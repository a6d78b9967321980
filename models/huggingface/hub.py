"""Configurations and tokenizers from the Hugging Face hub, where an operator allows downloads."""

from __future__ import annotations

from pathlib import Path

from models.huggingface.folder import CONFIG, IMAGE_OPTIONS, TOKENIZER_FILES, ModelFolder
from models.huggingface.library import transformers_library
from models.inputs import InputFolder
from models.surroundings import Surroundings
from search.errors import InvalidInputError

FIELD, CACHE = "model.hub", "hub"


def fetched_folder(name: str, revision: str, surroundings: Surroundings) -> ModelFolder:
    """Find a model's folder in the cache, or fetch it: configuration, tokenizer, image options, nothing else.

    Raises:
        InvalidInputError: The operator does not allow it, or it cannot be fetched.
    """
    if not surroundings.may_download or surroundings.cache is None:
        raise InvalidInputError(
            FIELD,
            repr(name),
            "model.path or model.config: this installation does not download. Its operator can allow it by "
            "TRANSFERMASK_ALLOW_DOWNLOADS=true, or put the model's folder below the inputs folder",
        )
    transformers_library(FIELD)
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - comes with the extra

    cache = surroundings.cache / CACHE
    wanted = [CONFIG, IMAGE_OPTIONS, *TOKENIZER_FILES]
    try:
        # Contacts the hub for the branch's present commit, and falls back to what is there.
        folder = snapshot_download(
            name, revision=revision, cache_dir=cache, allow_patterns=wanted, token=False
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidInputError(
            FIELD,
            f"{name!r} at {revision!r}, which cannot be fetched: {type(error).__name__}: {reason}",
            "the name and revision of a public model",
        ) from error
    # The cache keeps files by content, and links to them.
    place = Path(folder).resolve().relative_to(cache.resolve())
    return ModelFolder(InputFolder(cache), str(place), FIELD)
