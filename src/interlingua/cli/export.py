"""``interlingua export``: write a translator as files of other tools."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from interlingua.cli import console
from interlingua.cli.options import AllowForeign, AsJson, Inverse, TranslatorFolder, check_effect
from interlingua.core.errors import InputError

__all__ = ["Form", "export"]


class Form(StrEnum):
    """Export formats."""

    SENTENCE_TRANSFORMERS = "sentence-transformers"
    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    HUB_FOLDER = "hub-folder"
    HUB = "hub"


def export(
    directory: TranslatorFolder,
    to: Annotated[
        Form,
        typer.Option(
            help="sentence-transformers: a folder of stock modules. onnx (extra: onnx), safetensors: one file. "
            "hub-folder: weights and model card of both directions. hub: the same, uploaded (extra: hub)."
        ),
    ],
    out: Annotated[
        str, typer.Option(metavar="OUTPUT", help="The file or folder to write; for hub the repository owner/name.")
    ],
    inverse: Inverse = False,
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="sentence-transformers: the encoder of the input vectors. The result then translates texts.",
        ),
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="sentence-transformers: also the encoder of the other space. Queries then go through --encoder and "
            "the translator, and documents through this encoder.",
        ),
    ] = None,
    allow_foreign: AllowForeign = False,
    public: Annotated[bool, typer.Option("--public", help="hub: make a new repository public.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a translator for other tools.

    The result runs without interlingua and gives the same vectors as `translate`, up to rounding in float32. A
    translator that is a network can be written as onnx or safetensors only. Existing files are never replaced. An
    encoder is first compared with the space that was fitted, on plain English texts.
    """
    from interlingua import export as exports
    from interlingua.core.translator import load

    if (encoder or documents) and to is not Form.SENTENCE_TRANSFORMERS:
        raise InputError(f"--encoder and --documents belong to --to {Form.SENTENCE_TRANSFORMERS}; leave them out.")
    if not encoder:
        check_effect({"--allow-foreign": allow_foreign}, "has no effect without --encoder, which is compared.")
    if to is not Form.HUB:
        check_effect({"--public": public}, f"belongs to --to {Form.HUB}; leave it out.")
    if documents and not encoder:
        raise InputError("--documents needs --encoder, the encoder of the queries.")
    if inverse and to in (Form.HUB_FOLDER, Form.HUB):
        raise InputError(f"--to {to} holds both directions; leave out --inverse.")
    translator = load(directory)
    with console.working("Writing"):
        if to is Form.HUB:
            written = translator.push_to_hub(out, private=not public)
        elif to is Form.HUB_FOLDER:
            written = str(translator.save(out))
        elif to is Form.ONNX:
            written = str(exports.to_onnx(translator, out, inverse=inverse))
        elif to is Form.SAFETENSORS:
            written = str(exports.to_safetensors(translator, out, inverse=inverse))
        elif encoder and documents:
            bridge = exports.to_query_bridge(
                translator, out, queries=encoder, documents=documents, inverse=inverse, allow_foreign=allow_foreign
            )
            written = str(bridge)
        else:
            written = str(
                exports.to_sentence_transformers(
                    translator, out, encoder=encoder, inverse=inverse, allow_foreign=allow_foreign
                )
            )
    if as_json:
        console.emit_json({"out": written, "to": to.value, "inverse": inverse})
    else:
        console.note(f"Wrote {written}")
