"""New vectors of the texts of a collection, in place of translations of its old ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua._encoder_spaces import PLAIN_TEXTS
from interlingua.core.arguments import check_callable, check_text, shown
from interlingua.core.arrays import SAME_DIRECTION, FloatArray, check_matrix, direction_variance, usable_rows
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records, is_text
from interlingua.core.wording import count_of, first_of, some_of

if TYPE_CHECKING:
    import pyarrow as pa

    from interlingua.core.translator import Translator
    from interlingua.stores._protocol import Store

__all__ = ["TextEmbedder", "first_payload", "new_vectors"]

# Rows whose keys a message names.
_FIRST_ROWS = 256
# Vectors of fewer different texts may be equal.
_FEWEST_DIFFERENT = 10
_PROBE = "A text whose vector shows the width."


@dataclass(frozen=True, eq=False)
class TextEmbedder:
    """Embeds the texts of a payload column, for `interlingua.stores.migration.migrate` in place of a translator.

    Attributes:
        encode: a function from texts to vectors [n, d].
        text_column: name of the column, or of the key where a store keeps documents.
        name: of the encoder, for messages and files.
        d: width of the vectors.
        identity: distinguishes this encoder from others of its name, such as a whole command. A migration recognizes
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

    def check_column(
        self, schema: pa.Schema | None, where: str, first: Callable[[], pa.Table | None] = lambda: None
    ) -> None:
        """Refuse a payload without texts in the column.

        Args:
            schema: of the payload; None without any.
            where: address of the rows, for messages.
            first: returns the payload of the first rows, for the keys that a message names.

        Raises:
            InputError: no such column, or one of another type, such as JSON.
        """
        from interlingua.stores._documents import is_documents, is_json

        names = [] if schema is None else schema.names
        if schema is not None and self._is_key(schema):
            return
        if schema is not None and self.text_column in names and is_json(schema.field(self.text_column)):
            if not is_documents(schema):
                raise InputError(
                    f"{where}: column {self.text_column!r} holds JSON; texts are needed. Make a column or a view with "
                    "the text in it.",
                    "Name that column with {text_column=...}.",
                )
            raise InputError(
                f"{where}: {self.text_column!r} holds whole documents; texts are needed. {_describe_keys(first())}",
                "Name a key that holds texts with {text_column=...}.",
            )
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
                f"The encoder {self.name} made {count_of(len(rows), 'vector')} of {count_of(len(texts), 'text')}; one "
                "for each text is needed. Check the program or the model."
            )
        return np.asarray(rows, np.float32)

    def check_texts(self, records: Records, where: str) -> None:
        """Refuse rows without a text.

        Raises:
            UnusableRowError: a row without a text; the message gives its id.
        """
        missing = np.flatnonzero(~self.has_text(records))
        if len(missing):
            # A key without a text in a whole page is probably not the one that was meant.
            keys = records.payload if len(missing) == len(records) and records.payload is not None else None
            named = "" if keys is None or not self._is_key(keys.schema) else f" {_describe_keys(keys)}"
            lacks = f"no text in {self.text_column!r}"
            found = some_of(len(missing), len(records), "row", f"has {lacks}", f"have {lacks}", which=" of a page")
            first = first_of(len(missing), f"the row with the id {shown(records.ids[int(missing[0])].as_py())}")
            raise UnusableRowError(f"{where}: {found}{first}.{named}")

    def check_reads(self, records: Records, vectors: FloatArray) -> None:
        """Refuse an encoder that makes almost the same vector of all texts, as a program does that does not read them.

        Args:
            records: rows with texts.
            vectors: [b, d] that the encoder made of them.

        Raises:
            InputError: such an encoder. Texts that differ little, such as numbered ones, may have equal vectors, so
                plain texts decide.
        """
        different = len(set(self._texts(records).to_pylist()))
        if different < _FEWEST_DIFFERENT or not _are_almost_equal(vectors):
            return
        plain = np.asarray(self.encode(list(PLAIN_TEXTS[:_FEWEST_DIFFERENT])))
        if len(plain) == _FEWEST_DIFFERENT and usable_rows(plain).all() and _are_almost_equal(plain):
            raise InputError(
                f"The encoder {self.name} makes almost the same vector of {different:,} different texts, and of plain "
                "English ones too, as if it did not read them. Check the program or the model."
            )

    def has_text(self, records: Records) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return for each row whether it has a text that is not blank."""
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
        """Return whether the texts are under a key of documents."""
        from interlingua.stores._documents import JSON_COLUMN, is_documents

        return is_documents(schema) and self.text_column != JSON_COLUMN

    def _texts(self, records: Records) -> pa.Array:
        import pyarrow as pa

        if records.payload is None:
            raise InputError(f"The rows have no columns; a column {self.text_column!r} with their texts is needed.")
        column = self._column(records.payload)
        # Not every form of text has the functions on texts: categories and views have none.
        return column.cast(pa.large_string())

    def _column(self, payload: pa.Table) -> pa.Array:
        """Return the texts of a payload, null where a document has no text under the key."""
        import pyarrow as pa

        from interlingua.stores._documents import payload_rows

        if self._is_key(payload.schema):
            values = [document.get(self.text_column) for document in payload_rows(payload, len(payload))]
            return pa.array([value if isinstance(value, str) else None for value in values], pa.string())
        column = payload.column(self.text_column).combine_chunks()
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _are_almost_equal(vectors: FloatArray) -> bool:
    """Return whether vectors [b, d] have one direction, up to small noise."""
    return direction_variance(np.asarray(vectors, np.float32)) < SAME_DIRECTION


def first_payload(source: Store) -> pa.Table | None:
    """Return the payload of the first rows, whose keys a message names."""
    with closing(source.scan(_FIRST_ROWS)) as pages:  # type: ignore[type-var]
        return next((records.payload for records, _ in pages), None)


def _describe_keys(payload: pa.Table | None) -> str:
    """Return a sentence that names the keys under which documents of some rows have texts."""
    from interlingua.stores._documents import payload_rows
    from interlingua.stores._names import list_names

    rows = payload_rows(payload, 0)
    keys = sorted({key for row in rows for key, value in row.items() if isinstance(value, str)})
    return f"Keys of the first documents with text: {list_names(keys)}."


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
