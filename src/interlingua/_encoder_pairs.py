"""`align_encoders`: a fit on the pairs that two encoders make of public texts."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua._align import align
from interlingua._commands import with_role
from interlingua.aligners import check_known_settings, create_aligner
from interlingua.aligners.base import OnStep, check_on_step
from interlingua.core.arguments import check_choice, check_count, check_texts, keyword_names, shown
from interlingua.core.errors import InputError, SpaceMismatchError
from interlingua.core.profiles import SpaceProfile
from interlingua.core.spaces import EmbeddingSpace, as_space
from interlingua.core.wording import count_of
from interlingua.encoders import Encode, embed_texts, encoder_title, open_encoder

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment

__all__ = [
    "COMPARED_ROWS",
    "METHODS",
    "RIDGE_PAIRS",
    "SAMPLE",
    "DrawnTexts",
    "EncoderPair",
    "align_encoders",
    "check_method",
    "check_one_per_text",
    "check_sample",
]

# Texts that are embedded by default: between 3,000 and 10,000, where recall at 10 grows by at most 0.04
# (benchmarks/results/public-pairs.jsonl).
SAMPLE = 5_000
# With fewer different texts, a profile of their vectors cannot detect vectors of another model.
_MIN_TEXTS = 200
_SIDES = ("source", "target")
# Rows of a collection that are compared with its encoder.
COMPARED_ROWS = 2_000
# Smallest spectrum of a collection along the axes of its own encoder, and the fewest texts that it can be measured on.
# With 3,000 texts, the encoder itself reaches 0.55 or more on texts of other kinds, and another one of the same family
# at most 0.23 (benchmarks/results/public-pairs.jsonl). With 300 texts, the encoder itself can be below the limit.
_MIN_SPECTRUM, _SPECTRUM_TEXTS = 0.27, 2_000
METHODS = ("auto", "ridge", "procrustes")
# From so many pairs on, ridge keeps more of the nearest neighbors than a rotation does (same records).
RIDGE_PAIRS = 2_000


@dataclass(frozen=True, eq=False)
class DrawnTexts:
    """A sample of public texts.

    Attributes:
        texts: different texts, none of them blank, each on one line.
        given: number of texts before blank and repeated ones were left out and a sample was drawn.
        different: number of different texts among them.
    """

    texts: list[str]
    given: int
    different: int

    @classmethod
    def of(cls, texts: Sequence[str], *, sample: int = SAMPLE, seed: int = 0, origin: str | None = None) -> DrawnTexts:
        """Leave out blank and repeated texts, and draw at most ``sample`` of the others.

        Args:
            texts: the texts.
            sample: most texts to draw.
            seed: of the draw.
            origin: the file of the texts, for messages.

        Raises:
            InputError: too few different texts.
        """
        sample = check_sample(sample)
        given = check_texts(texts, "texts")
        different = list(
            dict.fromkeys(line for line in (" ".join(text.splitlines()).strip() for text in given) if line)
        )
        if len(different) < _MIN_TEXTS:
            verbs = ["is" if len(each) == 1 else "are" for each in (given, different)]
            there = f"There {verbs[0]}" if origin is None else f"{origin} holds"
            raise InputError(
                f"{there} {count_of(len(given), 'text')}, of which {len(different):,} {verbs[1]} different "
                f"and not blank; at least {_MIN_TEXTS} are needed, and {SAMPLE:,} are better."
            )
        rng = np.random.default_rng(check_count(seed, "seed"))
        drawn = np.sort(rng.permutation(len(different))[:sample]).tolist()
        return cls([different[row] for row in drawn], len(given), len(different))


@dataclass(frozen=True, eq=False)
class EncoderPair:
    """Two encoders that can be run, and the texts that both are to embed.

    Attributes:
        encoders: functions from texts to vectors [n, d], of source and target.
        names: of the encoders.
        texts: different texts, none of them blank.
        given: number of texts before blank and repeated ones were left out and a sample was drawn.
        different: number of different texts among them.
    """

    encoders: tuple[Encode, Encode]
    names: tuple[str, str]
    texts: list[str]
    given: int
    different: int

    @classmethod
    def of(
        cls,
        source_encoder: str | Encode,
        target_encoder: str | Encode,
        texts: Sequence[str],
        *,
        sample: int = SAMPLE,
        seed: int = 0,
        device: str | None = "cpu",
        names: tuple[str | None, str | None] = (None, None),
        origin: str | None = None,
    ) -> EncoderPair:
        """Check the texts, draw a sample of them and load both encoders; arguments as of `align_encoders`.

        ``names`` replace those of the encoders. ``origin`` is the file of the texts, for messages.

        Raises:
            InputError: too few different texts, or an encoder that cannot be loaded.
            MissingExtraError: an encoder needs sentence-transformers, which is not installed.
        """
        drawn = DrawnTexts.of(texts, sample=sample, seed=seed, origin=origin)
        if isinstance(source_encoder, str) and source_encoder == target_encoder:
            raise InputError("The source and the target encoder are the same; nothing has to be translated.")
        sides = [
            _open_side(each, side, device) for each, side in zip((source_encoder, target_encoder), _SIDES, strict=True)
        ]
        (first, first_name), (second, second_name) = sides
        titles = names[0] or first_name, names[1] or second_name
        return cls((first, second), titles, drawn.texts, drawn.given, drawn.different)

    def embed(
        self, collections: Sequence[EmbeddingSpace | None], on_step: OnStep, *, seed: int = 0
    ) -> tuple[list[EmbeddingSpace], list[dict[str, Any]]]:
        """Return the spaces of the texts under both encoders, and the steps; compare each with its collection.

        Raises:
            InputError: an encoder did not return one vector for each text, or returned the same vector for all of
                them; or a collection has another width.
            SpaceMismatchError: another encoder made a collection.
        """
        steps: list[dict[str, Any]] = [
            {"step": "texts", "used": len(self.texts), "different": self.different, "of": self.given}
        ]
        on_step(dict(steps[0]))
        spaces = []
        for side, encode, name, collection in zip(_SIDES, self.encoders, self.names, collections, strict=True):
            title = f"The vectors of the {side} encoder {name}"

            def embedded(done: int, of: int, side: str = side) -> None:
                on_step({"step": "embedding", "side": side, "at": done, "of": of})

            vectors = EmbeddingSpace(embed_texts(with_role(encode, side), self.texts, embedded), name=title).vectors
            check_one_per_text(vectors, self.texts, title)
            spaces.append(EmbeddingSpace(vectors, ids=self.texts, name=name))
            new = [{"step": "embedded", "side": side, "rows": spaces[-1].n, "d": spaces[-1].d}]
            if collection is not None:
                new.append(check_collection(spaces[-1], collection, side, seed))
            steps += new
            for step in new:
                on_step(dict(step))
        return spaces, steps

    def fit(
        self,
        spaces: Sequence[EmbeddingSpace],
        steps: Sequence[dict[str, Any]],
        *,
        seed: int,
        on_step: OnStep,
        method: str = "auto",
        **settings: Any,
    ) -> Alignment:
        """Align two spaces whose rows i are the same text; ``steps`` come first in the trace."""
        if method == "auto":
            method = "ridge" if len(self.texts) >= RIDGE_PAIRS else "procrustes"
        pairs = np.stack([np.arange(len(self.texts))] * 2, axis=1)
        alignment = align(*spaces, pairs=pairs, method=method, seed=seed, max_rows=None, on_step=on_step, **settings)
        return replace(alignment, trace=(*steps, *alignment.trace))


def align_encoders(
    source_encoder: str | Encode,
    target_encoder: str | Encode,
    texts: Sequence[str],
    *,
    source: Any = None,
    target: Any = None,
    sample: int = SAMPLE,
    method: str = "auto",
    seed: int = 0,
    device: str | None = "cpu",
    on_step: OnStep | None = None,
    **settings: Any,
) -> Alignment:
    """Align the spaces of two encoders that can be run, on texts that anybody may read.

    Both encoders embed the same texts, and the map is fitted on these pairs and judged on pairs that were held out. No
    vector and no text of a collection is needed for it.

    Args:
        source_encoder: the encoder of the vectors to translate: a sentence-transformers folder, or a name on the Hub
            with an optional ``@REVISION``; ``command:PROGRAM ARGUMENTS``, as
            :func:`interlingua.encoders.command_encoder` describes it; or a function from a list of texts to vectors
            [n, d].
        target_encoder: the encoder to translate to.
        texts: at least 200 different ones. Repeated and blank ones are left out, and a line break becomes a space.
        source: vectors [n, d_source] of the collection to translate, to check that the encoder made them; they do not
            enter the fit.
        target: the same for vectors of the target encoder.
        sample: most texts that are embedded, drawn at random.
        method: ``"ridge"``, ``"procrustes"``, or ``"auto"``: procrustes with fewer than 2,000 texts, otherwise ridge.
        seed: decides every random draw.
        device: of sentence-transformers encoders.
        on_step: called with a dict after each step, as by :func:`interlingua.align`, and while the texts are embedded.
        settings: of the method.

    Returns:
        The alignment. Its trace begins with the number of texts and with the comparison of each collection.

    Raises:
        InputError: texts, encoders or arguments that cannot be used.
        SpaceMismatchError: a collection was not made by the encoder that was named for it.
        MissingExtraError: an encoder needs sentence-transformers, which is not installed.

    Example:
        >>> import numpy as np, interlingua as il
        >>> counts = lambda texts: np.array([[t.count(c) for c in "abcdefgh"] for t in texts]) + 1.0
        >>> texts = [f"{i:b}".replace("0", "abc").replace("1", "defgh") + "ace"[i % 3] * (i % 7) for i in range(400)]
        >>> str(il.align_encoders(counts, lambda t: counts(t)[:, ::-1], texts).verdict.status)
        'aligned'
    """
    check_method(method)
    if method != "auto":
        check_known_settings(method, settings, keyword_names(align_encoders))
        create_aligner(method, **settings)
    elif settings:
        raise InputError(f"{next(iter(settings))} needs a method by name, ridge or procrustes; the method is auto.")
    report = check_on_step(on_step)
    collections = [
        None if rows is None else as_space(rows, side) for rows, side in zip((source, target), _SIDES, strict=True)
    ]
    pair = EncoderPair.of(source_encoder, target_encoder, texts, sample=sample, seed=seed, device=device)
    spaces, steps = pair.embed(collections, report)
    return pair.fit(spaces, steps, method=method, seed=seed, on_step=report, **settings)


def check_one_per_text(vectors: Sized, texts: Sized, title: str) -> None:
    """Refuse vectors of an encoder that are not one for each text.

    Args:
        vectors: the vectors.
        texts: the texts.
        title: what the vectors are, for the message.

    Raises:
        InputError: there are more or fewer vectors than texts.
    """
    if len(vectors) != len(texts):
        raise InputError(f"{title}: {len(vectors):,} for {len(texts):,} texts; one per text is needed.")


def check_sample(sample: Any) -> int:
    """Return the most texts to embed, or refuse fewer than are needed, before any text is read."""
    return check_count(sample, "sample", minimum=_MIN_TEXTS)


def check_method(method: Any) -> None:
    """Refuse a method that does not fit on pairs alone."""
    check_choice(method, "method", METHODS)


def _open_side(encoder: Any, side: str, device: str | None) -> tuple[Encode, str]:
    """Return the function and the name of an encoder, which is a function or the name of one."""
    if isinstance(encoder, str):
        return open_encoder(encoder, device=device), encoder_title(encoder)
    if not callable(encoder):
        raise InputError(
            f"{side}_encoder is {shown(encoder)}; the name of a model, command:PROGRAM, or a function from a list of "
            "texts to vectors is needed."
        )
    return encoder, getattr(encoder, "__name__", side)


def check_collection(space: EmbeddingSpace, collection: EmbeddingSpace, side: str, seed: int) -> dict[str, Any]:
    """Compare a collection with the vectors that an encoder made of other texts.

    Returns:
        A step. ``agrees`` is true where the encoder probably made the collection, and false where nothing decides.

    Raises:
        InputError: the widths differ.
        SpaceMismatchError: another encoder made the collection.
    """
    if space.d != collection.d:
        raise InputError(
            f"The {side} encoder {space.name} makes vectors of width {space.d}, and the {side} collection has width "
            f"{collection.d}; name the encoder that made it."
        )
    rows = collection.rows(COMPARED_ROWS, np.random.default_rng(seed))
    compared = SpaceProfile.of(np.asarray(space.vectors, np.float32)).compare(rows)
    # A statistic that is NaN decides nothing.
    is_sibling = compared.spectrum < _MIN_SPECTRUM and space.n >= _SPECTRUM_TEXTS
    if compared.foreign or is_sibling:
        weak = (
            f"its variance along the encoder's axes is {compared.spectrum:.2f} on a scale where unrelated vectors have "
            f"0 and the encoder's own 1, and {_MIN_SPECTRUM} is needed"
        )
        reasons = compared.reasons or (weak,)
        raise SpaceMismatchError(
            f"The {side} encoder {space.name} did not make the {side} collection: {'; '.join(reasons)}.",
            # `identify` cannot tell models of one family apart, so it should not name one for these rows.
            rows if compared.foreign else None,
            "Name the encoder that made it, with the same prompt and revision. Without the collection nothing is "
            "compared.",
        )
    agrees = compared.spectrum >= _MIN_SPECTRUM and not compared.doubtful
    spectrum = None if np.isnan(compared.spectrum) else round(compared.spectrum, 4)
    return {"step": "collection", "side": side, "agrees": bool(agrees), "spectrum": spectrum}
