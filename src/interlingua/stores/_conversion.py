"""What a migration does to the rows of its source before they are written, and what is compared afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from interlingua.core.arguments import shown
from interlingua.core.arrays import FloatArray, unit_rows, usable_rows
from interlingua.core.errors import InterlinguaError, SpaceMismatchError
from interlingua.core.records import Records
from interlingua.core.translator import Translator
from interlingua.core.wording import count_of, first_of
from interlingua.stores._documents import same_payload
from interlingua.stores._protocol import Spec, Store
from interlingua.stores._vectors import check_vectors
from interlingua.stores.planning import Options
from interlingua.stores.reembedding import TextEmbedder, new_vectors

# Largest difference between a value that was read back and its translation.
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Conversion:
    """Conversion of the rows of ``source`` into rows of ``target``."""

    translator: Translator | TextEmbedder
    source: Store
    target: Store
    spec: Spec
    options: Options

    def usable(self, records: Records) -> tuple[Records, Records | None]:
        """Return the rows that can be translated, and those that are left out.

        Raises:
            InputError: a vector cannot be translated, and such rows are not to be left out.
        """
        if isinstance(self.translator, TextEmbedder):
            if not self.options.skip_bad:
                return records, None
            usable = self.translator.has_text(records)
        else:
            width = self.translator.d_target if self.options.inverse else self.translator.d_source
            if not self.options.skip_bad:
                check_vectors(records, self.source.url, width)
                return records, None
            usable = usable_rows(records.vectors)
        if usable.all():
            return records, None
        return records.take(np.flatnonzero(usable)), records.take(np.flatnonzero(~usable))

    def copied(self, records: Records) -> Records:
        """Return what is copied: a new column of the same table may make triggers change the payload."""
        with_payload = not (self.spec.as_new_vector or self.options.drop_payload)
        if with_payload:
            return records
        payload = self.translator.only_texts(records.payload) if isinstance(self.translator, TextEmbedder) else None
        return Records(records.ids, records.vectors, payload)

    def translated(self, records: Records) -> Records:
        """Return rows as the target gets them."""
        # The survey has compared every page with the space of the translator.
        vectors = new_vectors(
            self.translator, records, str(self.source.url), inverse=self.options.inverse, allow_foreign=True
        )
        return replace(self.options.as_written(records), vectors=vectors)

    def check_space(self, records: Records) -> None:
        """Refuse rows that cannot be of the space that the translator was fitted on.

        Raises:
            SpaceMismatchError: they cannot be; the message gives the ids of the first and the last of them.
        """
        if isinstance(self.translator, TextEmbedder):
            self.translator.check_texts(records, str(self.source.url))
            return
        if self.options.allow_foreign or not len(records):
            return
        try:
            self.translator.check_space(np.asarray(records.vectors, np.float32), inverse=self.options.inverse)
        except SpaceMismatchError as error:
            first, last = (records.ids[row].as_py() for row in (0, len(records) - 1))
            raise error.at(f"{self.source.url}, rows {first!r} to {last!r}") from error

    def compare(self, records: Records) -> tuple[Records, float]:
        """Read the rows of the target that were made of rows of the source, and compare them.

        Returns:
            the rows of the target, and the largest difference between a value and its translation.

        Raises:
            InterlinguaError: a vector or a payload differs; the message gives the first id.
            InputError: a row does not exist.
        """
        expected = self.translated(records)
        stored = self.target.fetch(expected.ids)
        differences = np.abs(self._as_stored(expected.vectors) - self._as_stored(stored.vectors)).max(axis=1)
        wrong = np.flatnonzero(~(differences <= _TOLERANCE))
        if len(wrong):
            first = shown(expected.ids[int(wrong[0])].as_py())
            raise InterlinguaError(
                f"{self.target.url}: vectors read back differ from their translations by up to "
                f"{differences.max():.2g} in {len(wrong):,} of {count_of(len(records))}"
                f"{first_of(len(wrong), f'id {first}')}. Something else changed them.",
                "Copy these vectors if they matter. Then run {rollback=allow_loss} to undo the migration; {rollback} "
                "alone refuses to delete vectors that something else has written.",
            )
        if not self.spec.as_new_vector and not same_payload(expected.payload, stored.payload):
            raise InterlinguaError(
                f"{self.target.url}: payload read back differs from the source's; the first such row has the id "
                f"{self._first_other_payload(expected, stored)!r}.",
                "Run {rollback} to undo the migration.",
            )
        return stored, float(differences.max())

    @staticmethod
    def _first_other_payload(expected: Records, stored: Records) -> object:
        pairs = ((expected.rows(row, row + 1), stored.rows(row, row + 1)) for row in range(len(expected)))
        return next((a.ids[0].as_py() for a, b in pairs if not same_payload(a.payload, b.payload)), None)

    def _as_stored(self, vectors: FloatArray) -> FloatArray:
        rows = np.asarray(vectors, np.float32)
        return unit_rows(rows) if self.target.capabilities.normalizes and self.spec.metric == "cosine" else rows
