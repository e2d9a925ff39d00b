"""New vectors of the texts of a collection, in place of translations of its old ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.arguments import check_callable, check_text, shown
from interlingua.core.arrays import FloatArray, check_matrix
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records, is_text
from interlingua.core.wording import count_of

if TYPE_CHECKING:
    import pyarrow as pa

    from interlingua.core.translator import Translator

__all__ = ["TextEmbedder", "new_vectors"]

_PROBE = "A text whose vector shows the width."


@dataclass(frozen=True, eq=False)
class TextEmbedder:
    """Embeds the texts of a payload column, for `interlingua.stores.migration.migrate` in place of a translator.

    Attributes:
        encode: a function from texts to vectors [n, d].
        text_column: name of the column, or of the key where a store keeps documents.
        name: of the encoder, for messages and files.
        d: width of the vectors.
        identity: what tells this encoder from others of the same name, such as a whole command. A migration recognizes
            it by a digest when it goes on.
    """

    encode: Callable[[list[str]], Any]
    text_column: str
    name: str
    d: int
    identity: str = ""

    @classmethod
    def of(cls, encode: Callable[[list[str]], Any], text_column: str, name: str, *, identity: str = "") -> TextEmbedder:
        """Embed one text to know the width; arguments as the attributes.

        Raises:
            InputError: an argument of another type, or an encoder that does not return vectors.
        """
        check_callable(encode, "encode", "a function from texts to vectors [n, d]")
        text_column, name = check_text(text_column, "text_column"), check_text(name, "name")
        identity = check_text(identity, "identity")
        probe = check_matrix(encode([_PROBE]), f"The vectors of the encoder {name}")
        return cls(encode, text_column, name, probe.shape[1], identity)

    def fingerprint(self) -> str:
        """Return 16 hex digits that depend on the encoder, the column and the width."""
        return hashlib.sha256(repr((self.name, self.identity, self.text_column, self.d)).encode()).hexdigest()[:16]

    def check_column(self, schema: pa.Schema | None, where: str) -> None:
        """Refuse a payload without texts in the column.

        Raises:
            InputError: no such column, or one of another type.
        """
        names = [] if schema is None else schema.names
        if schema is not None and self._is_key(schema):
            return
        if schema is None or self.text_column not in names:
            raise InputError(
                f"{where} has no column {self.text_column!r}; its columns are {', '.join(names) or 'none'}.",
                "Name the column of the texts with {text_column=...}.",
            )
        kind = schema.field(self.text_column).type
        if not is_text(kind):
            raise InputError(
                f"{where}: column {self.text_column!r} holds {kind}; texts are needed.",
                "Name the column of the texts with {text_column=...}.",
            )

    def embed(self, records: Records, where: str) -> FloatArray:
        """Return the vectors [b, d] of the texts of rows.

        Raises:
            UnusableRowError: a row without a text; the message gives its id.
            InputError: vectors of another width, or not one for each text.
        """
        self.check_texts(records, where)
        if not len(records):
            return np.empty((0, self.d), np.float32)
        texts = self._texts(records).to_pylist()
        made = f"The vectors of the encoder {self.name}"
        rows = check_matrix(self.encode(texts), made, width=self.d, whole=False)
        if len(rows) != len(texts):
            raise InputError(
                f"The encoder {self.name} made {count_of(len(rows), 'vector')} of {count_of(len(texts), 'text')}."
            )
        return np.asarray(rows, np.float32)

    def check_texts(self, records: Records, where: str) -> None:
        """Refuse rows without a text.

        Raises:
            UnusableRowError: a row without a text; the message gives its id.
        """
        missing = np.flatnonzero(~self.has_text(records))
        if len(missing):
            raise UnusableRowError(
                f"{where}: {len(missing):,} of {count_of(len(records))} of a page "
                f"{'has' if len(missing) == 1 else 'have'} no text in {self.text_column!r}, the first has the id "
                f"{shown(records.ids[int(missing[0])].as_py())}."
            )

    def has_text(self, records: Records) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return for each row whether its text is there and not blank."""
        import pyarrow.compute as pc

        if not len(records):
            return np.zeros(0, bool)
        present = pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(self._texts(records))), 0)
        return np.asarray(pc.fill_null(present, False).to_numpy(zero_copy_only=False), bool)

    def only_texts(self, payload: pa.Table | None) -> pa.Table | None:
        """Return a payload without its other columns."""
        import pyarrow as pa

        return None if payload is None else pa.table({self.text_column: self._column(payload)})

    def _is_key(self, schema: pa.Schema) -> bool:
        """Return whether the payload is one column of documents, whose keys are known only when they are read."""
        from interlingua.stores._documents import JSON_COLUMN, is_json

        return schema.names == [JSON_COLUMN] and self.text_column != JSON_COLUMN and is_json(schema.field(0))

    def _texts(self, records: Records) -> pa.Array:
        import pyarrow as pa

        if records.payload is None:
            raise InputError(f"The rows have no column {self.text_column!r}.")
        column = self._column(records.payload)
        # Not every form of text has the functions on texts: categories and views have none.
        return column.cast(pa.large_string())

    def _column(self, payload: pa.Table) -> pa.Array:
        """Return the texts of a payload, null where a document has no text under the key."""
        import pyarrow as pa

        from interlingua.stores._documents import to_documents

        if self._is_key(payload.schema):
            # What a file holds as JSON need not be an object.
            documents: list[Any] = to_documents(payload, len(payload), None)
            values = [each.get(self.text_column) if isinstance(each, dict) else None for each in documents]
            return pa.array([value if isinstance(value, str) else None for value in values], pa.string())
        column = payload.column(self.text_column).combine_chunks()
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def new_vectors(
    translator: Translator | TextEmbedder, records: Records, where: str, *, inverse: bool, allow_foreign: bool
) -> FloatArray:
    """Return the new vectors [b, d] of rows: translations of the old ones, or vectors of their texts.

    Args:
        translator: a translator or an embedder of texts.
        records: rows.
        where: address of the rows, for messages.
        inverse: translate from the target space back to the source space.
        allow_foreign: translate vectors that cannot be of the space of the translator.
    """
    if isinstance(translator, TextEmbedder):
        return translator.embed(records, where)
    convert = translator.invert if inverse else translator.translate
    return np.asarray(convert(np.asarray(records.vectors, np.float32), allow_foreign=allow_foreign))
