"""A planted translator, rows to migrate, and what must hold of a migration."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator
from interlingua.stores import Records, Spec, Store
from interlingua.stores._documents import same_payload

D_IN, D_OUT = 12, 8


def unit(n: int, d: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def translator() -> Translator:
    """A fixed map from 12 to 8 columns, and back."""
    frame = np.linalg.qr(np.random.default_rng(7).standard_normal((D_IN, D_OUT)))[0].astype(np.float32)
    forward = AffineMap(np.zeros(D_IN, np.float32), frame, np.zeros(D_OUT, np.float32))
    backward = AffineMap(np.zeros(D_OUT, np.float32), np.ascontiguousarray(frame.T), np.zeros(D_IN, np.float32))
    profiles = SpaceProfile.of(unit(2000, D_IN, 1)), SpaceProfile.of(unit(2000, D_OUT, 2))
    return Translator(forward, backward, profiles, {"verdict": {"status": "aligned", "score": 1.0, "reasons": []}})


def fill(store: Store, ids: pa.Array, payload: pa.Table | None, *, seed: int = 3, metric: str = "cosine") -> Records:
    """Make a collection with random unit vectors and return what is in it."""
    records = Records(ids, unit(len(ids), D_IN, seed), payload)
    schema = None if payload is None else payload.schema
    spec = Spec(D_IN, metric, ids.type, schema, len(ids), job="fill")  # type: ignore[arg-type]
    store.create(spec)
    store.prepare(spec, 0)
    store.upsert(records)
    store.finish()
    return records


def whole(store: Store, size: int = 500) -> Records:
    """Return every row of a store."""
    parts = [records for records, _ in store.scan(size)]
    payload = None if parts[0].payload is None else pa.concat_tables([part.payload for part in parts])
    return Records(
        pa.concat_arrays([part.ids for part in parts]), np.concatenate([part.vectors for part in parts]), payload
    )


def assert_migrated(source: Records, target: Store) -> None:
    """Every row is there exactly once, with its id and payload, and its vector is the translation."""
    found = whole(target)
    assert sorted(found.ids.to_pylist()) == sorted(source.ids.to_pylist())
    found = found.in_order_of(source.ids, "target")
    np.testing.assert_allclose(found.vectors, translator().translate(source.vectors), atol=1e-5)
    assert same_payload(source.payload, found.payload)


def cone(n: int, d: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Random unit vectors around one direction, as most models of texts give them."""
    rows = unit(n, d, seed) + 2 * unit(1, d, 99)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def cone_translator() -> Translator:
    """The same map between two spaces whose vectors lie around one direction."""
    made = translator()
    return Translator(
        made.forward, made.backward, (SpaceProfile.of(cone(2000, D_IN, 3)), SpaceProfile.of(cone(2000, D_OUT, 4))), {}
    )
