"""Rows of a source without a text, which an embedder cannot embed."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from interlingua.core.arguments import shown
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.wording import first_of, some_of
from interlingua.stores._protocol import Store, StoreInfo
from interlingua.stores.reembedding import TextEmbedder

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.stores.planning import Options

__all__ = ["check_every_text", "without_text"]

# Whether a column has anything but white space, in the language of each store that selects rows. White space is what
# `str.isspace` calls so, as in `TextEmbedder.has_text`: `\s` leaves out some of it in every one of these languages, and
# rows with such a text would neither be embedded nor translated. Braces cannot be written in a remedy.
_NOT_BLANK = r"[^\pZ\x09-\x0D\x1C-\x1F\x85]"
_HAS_TEXT = {
    "duckdb": f"regexp_matches({{}}, '{_NOT_BLANK}')",
    "lancedb": f"regexp_like({{}}, '{_NOT_BLANK}')",
    "postgresql": (
        r"({} ~ '[^\u0009-\u000D\u001C-\u0020\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]')"
    ),
}


def without_text(scheme: str, column: str) -> str | None:
    """Return the SQL condition that a row has no text in a column, or None for a store of which no language is known.

    Args:
        scheme: of the store that selects the rows.
        column: name of the column.
    """
    if scheme not in _HAS_TEXT:
        return None
    mark = "`" if scheme == "lancedb" else '"'
    name = mark + column.replace(mark, 2 * mark) + mark
    return f"{name} IS NULL OR NOT {_HAS_TEXT[scheme].format(name)}"


def check_every_text(translator: Translator | TextEmbedder, source: Store, info: StoreInfo, options: Options) -> None:
    """Refuse a source of which some rows have no text, unless they are left out, as the survey of a run does.

    A store that selects rows reads only those without a text; every page of any other store is read.

    Raises:
        UnusableRowError: some rows have no text; the message gives their number and the id of the first.
    """
    if not isinstance(translator, TextEmbedder) or options.skip_bad:
        return
    from interlingua.stores._documents import is_documents

    found = None
    condition = without_text(source.url.scheme, translator.text_column)
    if condition is not None and info.schema is not None and not is_documents(info.schema):
        try:
            found = _count(translator, source, options, condition)
        except InputError:  # the column is of a type that the condition does not take
            found = None
    missing, first = found or _count(translator, source, options, None)
    # Without a text in any row, the column is probably not the one that was meant, which the survey of a page says.
    if missing and missing < info.count:
        lacks = f"no text in {translator.text_column!r}"
        rows = some_of(missing, info.count, "row", f"has {lacks}", f"have {lacks}")
        raise UnusableRowError(f"{source.url}: {rows}{first_of(missing, f'the row with the id {first}')}.")


def _count(embedder: TextEmbedder, source: Store, options: Options, condition: str | None) -> tuple[int, str]:
    """Return how many rows have no text, and the id of the first, among those that meet a condition."""
    missing, first = 0, ""
    options.restrict(source, condition)
    try:
        with closing(source.scan(options.page_rows)) as pages:  # type: ignore[type-var]
            for records, _ in pages:
                without = np.flatnonzero(~embedder.has_text(records))
                if len(without):
                    first = first or shown(records.ids[int(without[0])].as_py())
                missing += len(without)
    finally:
        options.restrict(source)
    return missing, first
