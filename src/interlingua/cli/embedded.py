"""Texts that ``interlingua fit`` embeds without pairs: public ones as its target, and those of the target as views."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners.base import insufficient_rows_reason
from interlingua.aligners.usable import UsableInputs
from interlingua.cli import console, inputs
from interlingua.cli.encoders import read_public_texts
from interlingua.cli.options import check_effect
from interlingua.core.arrays import usable_rows
from interlingua.core.errors import InputError, named_side
from interlingua.core.progress import Timed

if TYPE_CHECKING:
    from interlingua._encoder_pairs import DrawnTexts
    from interlingua.cli.eventlog import EventLog
    from interlingua.cli.fit_rows import FitRows
    from interlingua.core.alignment import Alignment
    from interlingua.core.callbacks import OnStep
    from interlingua.core.spaces import EmbeddingSpace
    from interlingua.encoders import Encode

__all__ = ["Embedding", "LoadedEncoders", "embedding_of", "name_encoders"]

# Methods that refuse sides with too few rows or columns; auto is linear where there are views or no pairs.
_NEED_ROWS = ("auto", "linear", "adversarial")


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a fit without pairs embeds.

    Attributes:
        target: the encoder whose vectors are the target, as it was named; None where TARGET has vectors.
        views: the encoders of views of the target, by the names of the views.
        texts: the public texts that all encoders embed; None where they embed the texts of TARGET.
        column: the column of the texts; None for the default.
    """

    target: str | None
    views: Mapping[str, str]
    texts: str | None
    column: str | None

    @property
    def row_column(self) -> str | None:
        """The column of TARGET whose texts are embedded, or None."""
        return (self.column or "text") if self.views and self.target is None else None

    def load(self, *, sample: int | None, seed: int, device: str | None, record: EventLog) -> LoadedEncoders:
        """Read the public texts, draw a sample of them, and load the encoders.

        Args:
            sample: most texts to embed; None for the default.
            seed: of the draw.
            device: of sentence-transformers encoders.
            record: the log of events.

        Raises:
            InputError: texts or an encoder that cannot be used.
            MissingExtraError: an encoder needs sentence-transformers, which is not installed.
        """
        from interlingua._encoder_pairs import SAMPLE, DrawnTexts, check_sample
        from interlingua.encoders import encoder_title, open_encoder

        drawn, target = None, None
        views: dict[str, Encode] = {}
        if self.texts is not None:
            size = check_sample(SAMPLE if sample is None else sample)
            with console.working("Reading", record):
                public = read_public_texts(self.texts, self.column, size)
                drawn = DrawnTexts.of(public, sample=size, seed=seed, origin=str(self.texts))
        if self.target is not None or self.views:
            with console.working("Loading the encoders", record):
                if self.target is not None:
                    target = encoder_title(self.target), open_encoder(self.target, device=device or "cpu")
                views = {name: open_encoder(model, device=device or "cpu") for name, model in self.views.items()}
        return LoadedEncoders(drawn, target, views)


@dataclass(frozen=True, eq=False)
class LoadedEncoders:
    """The encoders of a fit without pairs, and the public texts that they embed.

    Attributes:
        drawn: the public texts, or None.
        target: name and encoder of the target, or None where TARGET has vectors.
        views: encoders of the views by their names.
    """

    drawn: DrawnTexts | None
    target: tuple[str, Encode] | None
    views: Mapping[str, Encode]

    def embed(
        self,
        read: FitRows,
        source: str,
        *,
        name: str | None,
        with_ids: bool,
        skip_bad: bool,
        method: str,
        record: EventLog,
    ) -> FitRows:
        """Return what a fit is given, with the target and the views that the encoders make, if there are any.

        Args:
            read: the rows of the source and of TARGET, and the texts of TARGET.
            source: what the source is, for messages.
            name: of the target space.
            with_ids: name the rows of the target by their texts, for a report.
            skip_bad: leave out texts of which an encoder makes no vector that can be used.
            method: of ``--method``.
            record: the log of events.

        Raises:
            InputError: rows that the method could not use, or vectors of an encoder that cannot be used.
        """
        from interlingua.core.spaces import EmbeddingSpace

        texts = (read.texts or []) if self.drawn is None else self.drawn.texts
        if self.target is None and not self.views:
            return read
        _check_sizes(read.spaces, method)
        usable, made = np.ones(len(texts), bool), dict[str, npt.NDArray[Any]]()
        with console.show_progress(f"Embedding {len(texts):,} texts", record=record) as show:
            on_step = Timed(show)
            for title, side, encode in self._jobs():
                made[title] = vectors = _embed(encode, texts, side, title, on_step)
                if skip_bad:
                    usable &= usable_rows(vectors)
                    if not usable.any():
                        raise InputError(f"{_owner(side, title)}: none can be used; all texts would be left out.")
                else:
                    EmbeddingSpace(vectors, name=_owner(side, title))
                if side == "target":
                    inputs.check_different([(source, read.spaces[0].vectors), (title, vectors)])
        kept = np.flatnonzero(usable)
        spaces = {title: EmbeddingSpace(vectors[kept], name=title) for title, vectors in made.items()}
        if self.target is not None:
            ids = [texts[row] for row in kept.tolist()] if with_ids else None
            target = EmbeddingSpace(spaces.pop(self.target[0]).vectors, ids=ids, name=name or self.target[0])
            if len(kept) < len(texts):
                target = target.with_left_out(len(texts) - len(kept), len(texts))
            read = replace(read, spaces=[read.spaces[0], target])
        elif len(kept) < len(texts):
            read = _leave_out(read, made)
        read = self._count(read, len(texts), record)
        return replace(read, views={**(read.views or {}), **spaces} or None)

    def describe(self, alignment: Alignment) -> Alignment:
        """Return an alignment whose card says what was embedded with which encoders."""
        parts = [] if self.target is None else [f"target: {self.target[0]}"]
        parts += [f"views: {', '.join(self.views)}"] if self.views else []
        if not parts:
            return alignment
        return replace(alignment, settings={**alignment.settings, "embedded_with": "; ".join(parts)})

    def _jobs(self) -> list[tuple[str, str, Encode]]:
        """Return name, side and encoder of everything that is to be embedded."""
        target = [] if self.target is None else [(self.target[0], "target", self.target[1])]
        return [*target, *((name, "view", encode) for name, encode in self.views.items())]

    def _count(self, read: FitRows, texts: int, record: EventLog) -> FitRows:
        """Say what was embedded, and add it to what was used."""
        used = {side: dict(facts) for side, facts in read.used.items()}
        rows = read.spaces[1].n
        if self.drawn is not None:
            facts = {"used": texts, "different": self.drawn.different, "of": self.drawn.given}
            console.note(f"texts: {texts:,} of {facts['different']:,} different ones; {facts['of']:,} were given")
            used["texts"] = facts
            used["target"] = {"rows": texts, "of": texts}
        if rows < texts:
            before = used["target"].get("left_out", {"rows": 0, "first": []})
            used["target"] |= {"rows": rows, "left_out": {**before, "rows": before["rows"] + texts - rows}}
            verb = "is" if texts - rows == 1 else "are"
            console.note(
                f"target: {texts - rows:,} of {texts:,} texts {verb} left out, because an encoder makes no vector that "
                "can be used"
            )
        names = {"target": None if self.target is None else self.target[0], "views": list(self.views)}
        for title, side, _ in self._jobs():
            console.note(f"{side}: embedded with {title}")
        record("embedded", texts=texts, left_out=texts - rows, **names)
        return replace(read, used={**used, "encoders": names})


def embedding_of(
    options: Mapping[str, str | None],
    view_encoders: Sequence[str] | None,
    *,
    files: Mapping[str, object],
    method: str,
    taken: Collection[str] = (),
) -> Embedding:
    """Return what a fit without pairs has to embed, and refuse options that do not go together.

    Args:
        options: values of ``--target-encoder``, ``--texts`` and ``--text-column``.
        view_encoders: of ``--view-encoder``.
        files: options that name the target or belong to it, by option.
        method: of ``--method``.
        taken: names of views that are files or collections.

    Raises:
        InputError: an option is missing or has no effect, or the method could not use what would be embedded.
    """
    encoder, texts, column = (options[name] for name in ("--target-encoder", "--texts", "--text-column"))
    if (encoder is None) != (texts is None):
        raise InputError(
            "--target-encoder and --texts belong together: the texts are embedded as the target, or with "
            f"--source-encoder as pairs; add {'--target-encoder' if encoder is None else '--texts'}."
        )
    if encoder is not None:
        check_effect(
            {"--view": files.get("--view")},
            "belongs to rows of TARGET, and --target-encoder and --texts make the target; name its model with "
            "--view-encoder.",
        )
        check_effect(
            files, "cannot be combined with --target-encoder and --texts, which make the target; leave it out."
        )
    elif not view_encoders:
        check_effect({"--text-column": column}, "has no effect without --texts or --view-encoder.")
    if view_encoders:
        check_effect(
            {"--target": files.get("--target")}, "cannot be combined with --view-encoder; leave one of them out."
        )
    _check_method(method, makes_target=encoder is not None, has_views=bool(view_encoders))
    return Embedding(encoder, name_encoders(view_encoders or (), encoder, taken), texts, column)


def name_encoders(encoders: Sequence[str], target: str | None, taken: Collection[str]) -> dict[str, str]:
    """Return encoders by different names; arguments of a command are no part of its name, since they can hold a key.

    Raises:
        InputError: the same encoder twice, or that of the target.
    """
    from interlingua.encoders import encoder_title

    named = dict[str, str]()
    taken = {*taken, *([] if target is None else [encoder_title(target)])}
    for encoder in encoders:
        title = encoder_title(encoder)
        if encoder == target:
            raise InputError(
                f"--view-encoder {title} is already given as the main encoder (--target-encoder, or --encoder of "
                "audit), and would make the same vectors again. Name another model, or leave --view-encoder out."
            )
        if encoder in named.values():
            raise InputError(f"--view-encoder {title} was given twice; give each encoder once.")
        name, number = title, 1
        while name in named or name in taken:
            number += 1
            name = f"{title} {number}"
        named[name] = encoder
    return named


def _check_method(method: str, *, makes_target: bool, has_views: bool) -> None:
    """Refuse a method that could not use what would be embedded, before the encoders run.

    Raises:
        InputError: it learns from known pairs, or uses no views.
    """
    from interlingua.aligners import create_aligner, optional_use, pair_use

    if method == "auto" or not (makes_target or has_views):
        return
    aligner = create_aligner(method)
    if makes_target and pair_use(aligner) == "required":
        raise InputError(
            f"--method {method} learns from known pairs, and --target-encoder makes none without --source-encoder. "
            "Leave --method out, or name the encoder of SOURCE with --source-encoder."
        )
    if has_views and optional_use(aligner, "views") == "unused":
        raise InputError(
            f"--view-encoder makes views of the target, and --method {method} uses none. Leave --view-encoder out, or "
            "choose the method linear."
        )


def _check_sizes(spaces: Sequence[EmbeddingSpace], method: str) -> None:
    """Refuse sides that a method would refuse, before texts are embedded for it.

    Raises:
        InputError: too few rows or columns.
    """
    if method not in _NEED_ROWS:
        return
    for side, space in zip(inputs.SIDES, spaces, strict=False):
        reason = insufficient_rows_reason(named_side(side), space.vectors)
        if reason:
            raise InputError(f"{reason} Give more of them; no text was embedded.")


def _owner(side: str, title: str) -> str:
    return f"The vectors of the {side} encoder {title}"


def _embed(encode: Encode, texts: list[str], side: str, title: str, on_step: OnStep) -> npt.NDArray[Any]:
    """Return the vectors [n, d] of texts, and report how many have been embedded.

    Raises:
        InputError: the encoder fails, or does not return one vector for each text.
    """
    from interlingua._commands import with_role
    from interlingua._encoder_pairs import check_one_per_text
    from interlingua.encoders import embed_texts

    def embedded(done: int, of: int) -> None:
        on_step({"step": "embedding", "side": side, "name": title, "at": done, "of": of})

    embedded(0, len(texts))
    vectors = np.asarray(embed_texts(with_role(encode, side), texts, embedded))
    check_one_per_text(vectors, texts, _owner(side, title))
    return vectors


def _leave_out(read: FitRows, views: Mapping[str, npt.NDArray[Any]]) -> FitRows:
    """Return what a fit is given without the rows of TARGET of which a view has no vector that can be used."""
    target = read.spaces[1]
    before = target.left_out or {"rows": 0, "of": target.n}
    all_views = {**(read.views or {}), **views}
    left = UsableInputs.of(*read.spaces, pairs=read.pairs, labels=read.labels, views=all_views)
    count = before["rows"] + target.n - left.target.n
    return replace(
        read,
        spaces=[left.source, left.target.with_left_out(count, before["of"], before.get("first", ()))],
        pairs=left.pairs,
        labels=left.labels,
        views=left.views,
    )
