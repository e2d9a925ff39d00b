"""What new vectors are made of, in a few words that a file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlingua.core.wording import text_of
from interlingua.stores._url import StoreURL
from interlingua.stores.reembedding import TextEmbedder

if TYPE_CHECKING:
    from interlingua.core.translator import Translator

__all__ = ["collection_name", "is_embedding", "is_translation", "made_by", "origin_of"]


def origin_of(
    translator: Translator | TextEmbedder, collection: str, vector: str | None, *, inverse: bool = False
) -> dict[str, str]:
    """Return the names of what was read, and of the models, as far as they are known.

    An address is left out: it can name a server and a user, and files are passed on.

    Args:
        translator: what makes the new vectors.
        collection: name of the collection or file that holds the old ones.
        vector: name of the old vectors in their collection.
        inverse: whether they are translated from the target space back to the source space.
    """
    found = {"collection": collection, "vector": vector}
    if isinstance(translator, TextEmbedder):
        found |= {"text": translator.text_column, "model": translator.name}
        found.pop("vector")
    else:
        old, new = (_space(translator, side) for side in ("source", "target"))
        found |= {"from_model": new if inverse else old, "model": old if inverse else new}
        found["translator"] = translator.fingerprint()
    return {name: value for name, value in found.items() if value}


def is_translation(origin: Mapping[str, str] | None) -> bool:
    """Return whether the words on what vectors were made of are those of a translation by interlingua."""
    # Another program that writes a file may say anything else of its vectors.
    return origin is not None and "translator" in origin


def is_embedding(origin: Mapping[str, str] | None) -> bool:
    """Return whether the words on what vectors were made of say that they were made of texts."""
    return origin is not None and "text" in origin


def made_by(plan: Mapping[str, Any]) -> str:
    """Return what made the vectors of a migration, from its plan in a journal: its translator or its encoder."""
    return "encoder" if is_embedding(plan.get("origin")) else "translator"


def collection_name(url: StoreURL) -> str:
    """Return the name of the collection of an address, or of its file or folder where a store has no collections."""
    names = () if url.scheme == "file" else url.names[: max(1, len(url.names) - 1)]
    path = Path(url.path)
    # A relative path such as "." gets the name of the folder that it stands for.
    file = path.resolve().name if url.path and url.on_disk else path.name
    return ".".join(names) or text_of(file) or url.scheme


def _space(translator: Translator, side: str) -> str | None:
    space = translator.card.get(side)
    name = space.get("name") if isinstance(space, dict) else None
    # A space that was given no name is called by its side.
    return name if isinstance(name, str) and name != side else None
