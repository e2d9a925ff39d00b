"""Points of an embedded Qdrant, which its client keeps as pickles, read without running anything that they name."""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

# What payload and vectors may hold besides the models of the client; none of it acts on anything else.
_VALUES = {
    *(("datetime", name) for name in ("datetime", "date", "time", "timedelta", "timezone")),
    ("uuid", "UUID"),
    ("uuid", "SafeUUID"),
    ("decimal", "Decimal"),
    ("collections", "OrderedDict"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}
_MODELS = "qdrant_client.http.models.models"


class _Points(pickle.Unpickler):
    """Reads the models of the client, plain values, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _VALUES:
            return super().find_class(module, name)
        if module == _MODELS and name.isidentifier():
            from pydantic import BaseModel

            found = getattr(importlib.import_module(module), name, None)
            if isinstance(found, type) and issubclass(found, BaseModel | Enum):
                return found
        raise pickle.UnpicklingError(f"a point names {module}.{name}, which is not part of a point")


class _Pickle:
    """Takes the place of the module pickle in the client."""

    def __getattr__(self, name: str) -> Any:
        return getattr(pickle, name)

    @staticmethod
    def loads(data: bytes) -> Any:
        return _Points(io.BytesIO(data)).load()


@contextmanager
def points_only() -> Iterator[None]:
    """Let the client unpickle nothing but points while it opens a database, which it then holds in memory.

    Raises:
        ValueError: a point is damaged, or names something else.
    """
    persistence: Any = importlib.import_module("qdrant_client.local.persistence")
    before, persistence.pickle = persistence.pickle, _Pickle()
    try:
        yield
    except (pickle.UnpicklingError, EOFError, LookupError, AttributeError, TypeError, ImportError) as error:
        raise ValueError(f"its points cannot be read ({error}). Nothing in them was run.") from error
    finally:
        persistence.pickle = before
