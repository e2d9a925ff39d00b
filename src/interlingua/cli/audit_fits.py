"""Fits and decoder of an audit: made, kept in a folder, and read again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from interlingua.cli import console
from interlingua.cli.options import check_effect
from interlingua.core.alignment import end_if_interrupted
from interlingua.core.arrays import row_blocks
from interlingua.core.atomic import write_text
from interlingua.core.errors import InputError, SpaceMismatchError
from interlingua.core.whole import WholeTime

if TYPE_CHECKING:
    from interlingua.cli.eventlog import EventLog
    from interlingua.core.alignment import Alignment
    from interlingua.core.translator import Translator
    from interlingua.leakage.inputs import PublicCorpus
    from interlingua.leakage.inversion import KeywordDecoder

__all__ = ["alignment_of", "check_given", "kept_fit", "make_decoder", "make_fits", "read_fits", "whole_time"]

_INPUTS = "inputs.json"
# What the shown progress calls a fit that is not of the audited vectors.
_TITLES = {"second fit": "Fit of the second leak"}
_Read = TypeVar("_Read")
_VIEW = "view "
# The evidence that only fits with known pairs have.
_PAIRS = "held_out_pairs"


def whole_time(
    corpus: PublicCorpus, seeds: Sequence[int], second: Sequence[int], keep: Path | None, attack: float
) -> WholeTime:
    """Return the time of a whole audit, whose parts are the fits, the stand-in, the decoder and the attack.

    Args:
        corpus: the public vectors and texts.
        seeds: of the fits that are made or read.
        second: seeds of the fits of a second leak.
        keep: folder with fits that need not be made again, or None.
        attack: time of the attack, as `interlingua.leakage._shares.attack_share` returns it.
    """
    from interlingua.leakage._shares import DECODER, FIT

    def share(units: float, *names: str) -> float:
        return 0.0 if keep is not None and keep.joinpath(*names).exists() else units

    parts = {f"fit {seed}": share(FIT, f"fit-{seed}") for seed in seeds}
    parts |= {f"second fit {seed}": share(FIT, "second", f"fit-{seed}") for seed in second}
    digest = "" if keep is None or not corpus.has_texts else _decoder_digest(corpus, seeds[0])[:16]
    parts["stand-in"] = 0.0 if corpus.stand_in is None else share(FIT, f"stand-in-{digest}")
    parts["decoder"] = share(DECODER, f"decoder-{digest}.safetensors") if corpus.has_texts else 0.0
    return WholeTime({**parts, "attack": attack})


def make_fits(
    vectors: Any,
    corpus: PublicCorpus,
    seeds: Sequence[int],
    keep: Path | None,
    record: EventLog,
    whole: WholeTime,
    part: str = "fit",
) -> list[Alignment]:
    """Align the vectors with the public ones once for each seed, or read the fit from the folder ``keep``.

    Args:
        vectors: the audited vectors [n, d_unknown].
        corpus: the public vectors [m, d] and their views.
        seeds: seeds of the fits.
        keep: folder with one translator for each seed; new fits are written to it. None keeps nothing.
        record: receives the events of each fit.
        whole: the time of the whole audit, in which each fit is a part.
        part: what the names of these parts begin with, before the seed.

    Raises:
        InputError: the folder holds fits of other vectors, or is not a folder of fits.
    """
    import interlingua

    if keep is not None:
        digests = {"vectors": _digest(vectors), "public": _digest(corpus.vectors)}
        _check_folder(keep, digests | _view_digests(corpus.views))
    alignments = []
    for number, seed in enumerate(seeds, 1):
        whole.begin(f"{part} {seed}")
        folder = None if keep is None else keep / f"fit-{seed}"
        if folder is not None and folder.exists():
            alignments.append(_read_fit(folder))
        else:
            title = _TITLES.get(part, f"Fit {number} of {len(seeds)}") + ", without pairs"
            with console.show_progress(title, record=record, whole=whole) as on_step:
                fit = interlingua.align(vectors, corpus.vectors, views=corpus.views, seed=seed, on_step=on_step)
                end_if_interrupted(fit)
                alignments.append(fit)
            if folder is not None:
                alignments[-1].translator(force=True).save(folder)
        record("fit", status=str(alignments[-1].verdict.status), seconds=round(alignments[-1].seconds, 1))
    return alignments


def make_decoder(
    corpus: PublicCorpus, seed: int, keep: Path | None, record: EventLog, whole: WholeTime
) -> tuple[PublicCorpus, KeywordDecoder]:
    """Fit the stand-in and the keyword decoder, or read them from the folder ``keep`` if the inputs are the same.

    Returns:
        The corpus with the fit of its stand-in, and the decoder.
    """
    from interlingua.leakage.inversion import KeywordDecoder

    digest = "" if keep is None else _decoder_digest(corpus, seed)[:16]
    whole.begin("stand-in")
    if corpus.stand_in is not None:
        folder = None if keep is None else keep / f"stand-in-{digest}"
        if folder is not None and folder.exists():
            corpus = replace(corpus, stand_in_fit=_read_fit(folder))
        else:
            title = "Fit of the stand-in, without pairs"
            with console.show_progress(title, record=record, whole=whole) as on_step:
                corpus = corpus.align_stand_in(seed, on_step=on_step)
            if corpus.stand_in_fit is not None:
                end_if_interrupted(corpus.stand_in_fit)
            if folder is not None and corpus.stand_in_fit is not None:
                corpus.stand_in_fit.translator(force=True).save(folder)
        if corpus.stand_in_fit is not None:
            record("stand-in", status=str(corpus.stand_in_fit.verdict.status))
    whole.begin("decoder")
    path = None if keep is None else keep / f"decoder-{digest}.safetensors"
    if path is not None and path.is_file():
        return corpus, _read_kept(path, KeywordDecoder.load)
    with console.working("Fitting the keyword decoder", record, whole):
        decoder = corpus.fit_decoder(seed)
    if path is not None:
        decoder.save(path)
    return corpus, decoder


def kept_fit(keep: Path | None) -> Callable[..., Alignment]:
    """Return a function that aligns two matrices; it keeps the fits in the folder ``keep`` and reads them again."""
    import interlingua

    def fit(vectors: Any, public: Any, *, seed: int, views: Mapping[str, Any] | None = None) -> Alignment:
        parts = "".join([_digest(vectors), _digest(public), str(seed), *_view_digests(views).values()])
        folder = None if keep is None else keep / f"part-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"
        if folder is not None and folder.exists():
            return _read_fit(folder)
        alignment = interlingua.align(vectors, public, views=views, seed=seed)
        end_if_interrupted(alignment)
        if folder is not None:
            alignment.translator(force=True).save(folder)
        return alignment

    return fit


def check_given(
    translators: Sequence[Path] | None,
    *,
    keep: Path | None,
    fits: int | None,
    views: Mapping[str, object],
    allow_foreign: bool,
) -> None:
    """Refuse options that have no effect with fits that exist, or without any.

    Args:
        translators: of ``--translator``.
        keep: of ``--keep``.
        fits: of ``--fits``.
        views: options of views by their names, where nothing else is fitted.
        allow_foreign: of ``--allow-foreign``.

    Raises:
        InputError: such an option was given.
    """
    if not translators:
        check_effect({"--allow-foreign": allow_foreign}, "has no effect without --translator; leave it out.")
        return
    if keep:
        raise InputError("--translator uses fits that exist and --keep writes new ones; give one of them.")
    check_effect({"--fits": fits}, "has no effect with --translator, which fits nothing; leave it out.")
    check_effect(views, "has no effect with --translator, which fits nothing; fit it with --view.")


def read_fits(folders: Sequence[Path], vectors: Any, public: Any, *, allow_foreign: bool) -> list[Alignment]:
    """Read saved translators as the fits of an audit.

    Args:
        folders: of the translators.
        vectors: the audited vectors [n, d_unknown].
        public: the public vectors [m, d], by the auditor's encoder.
        allow_foreign: do not compare both with the spaces of the translators.

    Raises:
        SpaceMismatchError: the audited or the public vectors cannot be of the space of a translator.
        InputError: a folder is given twice, is not a translator, or one of other widths, or one that was fitted with
            known pairs.
    """
    from interlingua.core.translator import load

    for folder, count in Counter(folder.resolve() for folder in folders).items():
        if count > 1:
            raise InputError(
                f"{folder} was given {count} times, and its agreement with itself shows nothing. Give each "
                "--translator once."
            )
    alignments = []
    for folder in folders:
        translator = load(folder)
        widths, needed = (translator.d_source, translator.d_target), (vectors.shape[1], public.shape[1])
        if widths != needed:
            raise InputError(
                f"{folder} translates vectors of width {widths[0]} to {widths[1]}; the audited and the public vectors "
                f"have {needed[0]} and {needed[1]}. Fit one with: interlingua fit VECTORS PUBLIC --out DIR"
            )
        alignment = alignment_of(translator)
        if any(evidence.name == _PAIRS for evidence in alignment.verdict.evidence):
            raise InputError(
                f"{folder} was fitted with known pairs, and an audit shows what can be read without any. Fit one "
                "without --pairs: interlingua fit VECTORS PUBLIC --out DIR"
            )
        if not allow_foreign:
            for name, rows in (("audited", vectors), ("public", public)):
                try:
                    translator.check_space(rows, inverse=name == "public")
                except SpaceMismatchError as error:
                    raise error.at(f"{folder} does not fit the {name} vectors") from error
        alignments.append(alignment)
    return alignments


def alignment_of(translator: Translator) -> Alignment:
    """Return the alignment that a saved translator was made from, without its trace.

    Raises:
        InputError: the card of the translator lacks a part, or a part of it cannot be read.
    """
    from interlingua.core.alignment import Alignment, Diagnosis, Verdict

    card = translator.card
    try:
        verdict = Verdict.from_dict(card["verdict"])
        facts = {name: card[name] for name in ("method", "seed", "settings", "source", "target", "versions", "seconds")}
        causes = card.get("diagnoses")
        diagnoses = None if causes is None else tuple(Diagnosis(**cause) for cause in causes)
        candidates = tuple(card.get("candidates", ()))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        cause = f"lacks {error}" if isinstance(error, KeyError) else f"cannot be read ({type(error).__name__}: {error})"
        raise InputError(f"The translator's card {cause}; fit it again.") from error
    maps = translator.forward, translator.backward
    return Alignment(
        *maps,
        verdict,
        profiles=translator.profiles,
        calibration=translator.calibration,
        candidates=candidates,
        diagnoses=diagnoses,
        **facts,
    )


def _read_fit(folder: Path) -> Alignment:
    """Read a fit of the kept folder.

    Raises:
        InputError: it is damaged.
    """
    from interlingua.core.translator import load

    return _read_kept(folder, lambda path: alignment_of(load(path)))


def _read_kept(path: Path, read: Callable[[Path], _Read]) -> _Read:
    """Return what is read of a part of the kept folder.

    Raises:
        InputError: the part is damaged; the message says what to do.
    """
    try:
        return read(path)
    except InputError as error:
        raise InputError(
            f"{error} This is a part of {path.parent}, which keeps what an audit has fitted. Delete it, and the audit "
            f"makes it again: {path}"
        ) from error


def _check_folder(folder: Path, digests: dict[str, str]) -> None:
    """Make the folder for these inputs, or check that it holds fits of them."""
    path = folder / _INPUTS
    if path.is_file():
        try:
            known = dict(json.loads(path.read_text("utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} is damaged, so it is not known of which vectors the fits are; choose another --keep DIR."
            ) from error
        if known != digests:
            raise InputError(
                f"{folder} holds fits of other inputs: {_differences(known, digests)}. Give the same inputs as then, "
                "or choose another --keep DIR."
            )
    elif folder.exists() and not (folder.is_dir() and all(map(_is_unfinished, folder.iterdir()))):
        raise InputError(f"{folder} exists and holds no fits of an audit; choose another --keep DIR.")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(digests) + "\n")


def _differences(known: Mapping[str, str], digests: Mapping[str, str]) -> str:
    """Return which inputs differ from those of the kept fits, given the digests of both by the name of the input."""
    said = []
    for name in [*digests, *(name for name in known if name not in digests)]:
        view = name.removeprefix(_VIEW)
        shown = {"vectors": "the vectors", "public": "the public vectors"}.get(name, f"the view {view!r}")
        if name not in digests:
            said.append(f"{shown} is missing")
        elif name not in known:
            said.append(f"{shown} is new")
        elif known[name] != digests[name]:
            said.append(f"{shown} {'differs' if name.startswith(_VIEW) else 'differ'}")
    return ", ".join(said)


def _is_unfinished(path: Path) -> bool:
    """Return whether a file was left by an audit that was killed while it wrote the digests of its inputs."""
    return path.name.startswith(".tmp.") and path.name.endswith(_INPUTS)


def _decoder_digest(corpus: PublicCorpus, seed: int) -> str:
    """Return the SHA-256 of everything that decides the decoder."""
    words = None if corpus.vocabulary is None else corpus.vocabulary.words
    stand_in = None if corpus.stand_in is None else _digest(corpus.stand_in)
    # Views take part in the fit of the stand-in.
    views = [] if corpus.stand_in is None else list(_view_digests(corpus.views).values())
    parts = [_digest(corpus.vectors), stand_in, list(corpus.texts), words, corpus.identifiers, seed, *views]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _view_digests(views: Mapping[str, Any] | None) -> dict[str, str]:
    return {f"{_VIEW}{name}": _digest(rows) for name, rows in (views or {}).items()}


def _digest(rows: Any) -> str:
    """Return the SHA-256 of the shape, the type and all values of a matrix."""
    digest = hashlib.sha256(f"{rows.shape}{rows.dtype}".encode())
    for block in row_blocks(len(rows)):
        digest.update(np.ascontiguousarray(rows[block]).tobytes())
    return digest.hexdigest()
