"""Options of the encoders of ``interlingua fit``, and its fit on the pairs that two encoders make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua.aligners.usable import advise_skip_bad
from interlingua.cli import console, inputs, methods
from interlingua.cli.collections import Collection
from interlingua.cli.fit_rows import note_left_out
from interlingua.cli.options import check_effect
from interlingua.cli.samples import read_usable_sample
from interlingua.core.errors import InputError
from interlingua.core.progress import Timed

if TYPE_CHECKING:
    from interlingua.cli.eventlog import EventLog
    from interlingua.core.alignment import Alignment
    from interlingua.core.spaces import EmbeddingSpace

__all__ = [
    "SourceEncoder",
    "TargetEncoder",
    "TextColumn",
    "Texts",
    "ViewEncoders",
    "fit_encoders",
    "is_encoder_fit",
    "read_public_texts",
]

_WHERE = ("where", "target_where")
_PANEL = "Encoders that embed public texts, or those of TARGET"
_MODEL = "a sentence-transformers folder or name, or command:PROGRAM that reads lines and writes vectors"

SourceEncoder = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help=f"The encoder of the vectors to translate: {_MODEL} (extra: encoder). It makes pairs with "
        "--target-encoder and --texts. SOURCE and TARGET may then be left out; if they are given, they are only "
        "compared with the encoders.",
        rich_help_panel=_PANEL,
    ),
]
TargetEncoder = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="The encoder to translate to. Without --source-encoder, the vectors that it makes of --texts take the "
        "place of TARGET in a fit without pairs.",
        rich_help_panel=_PANEL,
    ),
]
ViewEncoders = Annotated[
    list[str] | None,
    typer.Option(
        "--view-encoder",
        metavar="MODEL",
        help="Another model, which embeds --texts or, without them, the texts of TARGET. Its vectors are a view, with "
        "which the fit needs fewer rows; may be repeated. Of TARGET, 20,000 rows are then read by default, or all with "
        "--pairs.",
        rich_help_panel=_PANEL,
    ),
]
Texts = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|CORPUS",
        help="Public texts that the encoders embed: .txt (one per line), .jsonl or .parquet; or a corpus of "
        "interlingua bench, such as nq (extra: bench). --sample N embeds N of them, by default 5,000. Without "
        "--source-encoder they should be of the kind of those of SOURCE.",
        rich_help_panel=_PANEL,
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The column or field of --texts, or of TARGET for --view-encoder; text by default.",
        rich_help_panel=_PANEL,
    ),
]


def is_encoder_fit(options: Mapping[str, str | None], others: Mapping[str, object]) -> bool:
    """Return whether pairs are made by two encoders, and refuse options that do not go together with that.

    Args:
        options: values of ``--source-encoder``, ``--target-encoder``, ``--texts`` and ``--text-column``.
        others: options that have no effect on a fit of two encoders.

    Raises:
        InputError: an option is missing or has no effect.
    """
    if options["--source-encoder"] is None:
        return False
    missing = [name for name, value in options.items() if value is None and name != "--text-column"]
    if missing:
        raise InputError(f"--source-encoder, --target-encoder and --texts belong together; add {', '.join(missing)}.")
    check_effect(others, "has no effect with --source-encoder, which makes its own pairs; leave it out.")
    return True


def fit_encoders(
    options: Mapping[str, str | None],
    sides: tuple[str | None, str | None],
    *,
    where: tuple[str | None, str | None],
    skip_bad: bool,
    sample: int | None,
    names: tuple[str | None, str | None],
    method: str,
    assignments: Sequence[str],
    settings: Path | None,
    device: str | None,
    seed: int,
    record: EventLog,
) -> tuple[Alignment, Sequence[EmbeddingSpace], dict[str, Any]]:
    """Embed public texts with both encoders and fit on these pairs.

    Args:
        options: as of `is_encoder_fit`.
        sides: addresses of SOURCE and TARGET, which are compared with the encoders.
        where: condition of each.
        skip_bad: leave out rows whose vector cannot be used.
        sample: most texts to embed.
        names: of the spaces.
        method: ``auto`` or a method that fits on pairs alone.
        assignments: of ``--set``.
        settings: file of ``--settings``.
        device: of the encoders.
        seed: decides every random draw.
        record: the log of events.

    Returns:
        The alignment, the spaces of the texts, and what was used of the inputs.

    Raises:
        InputError: an input that cannot be used.
        SpaceMismatchError: an encoder did not make the collection that was given for it.
    """
    from interlingua import _encoder_pairs as pairs

    if not any(sides):
        check_effect({"--skip-bad": skip_bad}, "leaves out rows of a collection, and none is given; leave it out.")
    chosen: dict[str, Any] = {}
    if method != "auto":
        pairs.check_method(method)
        chosen = {"method": method, **methods.method_settings(method, assignments, {}, file=settings)}
    elif assignments or settings:
        option = "--set" if assignments else "--settings"
        raise InputError(f"{option} needs --method ridge or procrustes together with --source-encoder.")
    sample = pairs.check_sample(pairs.SAMPLE if sample is None else sample)
    with console.working("Reading", record):
        texts = read_public_texts(str(options["--texts"]), options["--text-column"], sample)
        read = [
            _read_side(side, argument, condition, seed, skip_bad=skip_bad)
            for side, argument, condition in zip(sides, _WHERE, where, strict=True)
        ]
    collections = [space for space, _ in read]
    left_out = {side: facts for side, (_, facts) in zip(inputs.SIDES, read, strict=True) if facts is not None}
    for side, facts in left_out.items():
        note_left_out(facts, side, "id")
    with console.working("Loading the encoders", record):
        pair = pairs.EncoderPair.of(
            str(options["--source-encoder"]),
            str(options["--target-encoder"]),
            texts,
            sample=sample,
            seed=seed,
            device=device,
            names=names,
            origin=str(options["--texts"]),
        )
    with console.show_progress(f"Fitting on {len(pair.texts):,} texts", record=record) as show:
        on_step = Timed(show)
        spaces, steps = pair.embed(collections, on_step, seed=seed)
        alignment = pair.fit(spaces, steps, seed=seed, on_step=on_step, **chosen)
    console.note(f"texts: {len(pair.texts):,} of {pair.different:,} different ones; {pair.given:,} were given")
    compared = {step["side"]: step for step in steps if step["step"] == "collection"}
    for name, step in compared.items():
        space = spaces[inputs.SIDES.index(name)]
        known = "probably made by" if step["agrees"] else "it could not be decided whether it was made by"
        console.note(f"{name}: {known} {space.name}")
    used = {
        "texts": {"used": len(pair.texts), "different": pair.different, "of": pair.given},
        "collections": {name: {"agrees": s["agrees"]} for name, s in compared.items()},
    }
    if not left_out:
        record("read", **used)
        return alignment, spaces, used
    # The log holds no ids.
    record("read", **used, left_out={side: facts["rows"] for side, facts in left_out.items()})
    return alignment, spaces, {**used, "left_out": left_out}


def read_public_texts(texts: str, column: str | None, sample: int) -> list[str]:
    """Read the texts of a file, or enough of those of a corpus.

    Args:
        texts: of ``--texts``.
        column: of ``--text-column``.
        sample: number of texts that will be drawn.

    Raises:
        InputError: the texts cannot be read, or a column was named where there is none.
    """
    from interlingua.bench.encode import DATASETS, hub_texts
    from interlingua.io import read_texts

    path = Path(texts)
    if texts in DATASETS and not path.exists():
        check_effect({"--text-column": column}, f"has no effect on the corpus {texts}; leave it out.")
        return hub_texts(texts, 4 * sample)
    if path.suffix.lower() == ".txt":
        check_effect({"--text-column": column}, "has no effect: a .txt file has no columns.")
    return read_texts(path, column or "text")


def _read_side(
    address: str | None, argument: str, where: str | None, seed: int, *, skip_bad: bool
) -> tuple[EmbeddingSpace | None, dict[str, Any] | None]:
    """Return rows of a side, and which of them were left out; None for either that there is not."""
    from interlingua._encoder_pairs import COMPARED_ROWS

    if address is None:
        check_effect(
            {f"--{argument.replace('_', '-')}": where}, "selects rows of a collection, and none is given; leave it out."
        )
        return None, None
    with advise_skip_bad():
        collection = Collection(address, where, argument, skip_bad=skip_bad)
    with advise_skip_bad(), inputs.closing_sides([collection]):
        if skip_bad:
            space, usable = read_usable_sample(collection, rows=COMPARED_ROWS, seed=seed)
            return space, usable.to_dict() if usable.count else None
        return inputs.read_space(collection, rows=COMPARED_ROWS, seed=seed), None
