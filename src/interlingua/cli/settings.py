"""``interlingua settings``: the settings of a method with their meanings."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from interlingua.aligners import METHODS
from interlingua.cli import console, methods
from interlingua.cli.options import AsJson
from interlingua.core.errors import InputError

__all__ = ["settings"]

_INDENT, _WIDTH = "    ", 100


def settings(
    method: Annotated[
        str | None,
        typer.Argument(
            metavar="METHOD",
            help=f"The method: {', '.join(METHODS)}, or one that an installed package adds. auto has the settings of "
            "linear.",
            autocompletion=methods.complete_method,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the settings of a method.

    Prints the default, the accepted values and the meaning of each setting. Settings of the vec2vec paper also have
    the value in its released code, the value in the paper where the paper differs, and the values in other presets.
    `fit` changes settings with --set NAME=VALUE, or with --settings FILE, a YAML or JSON file of names and values.
    """
    from interlingua.aligners import describe_settings

    if method is None:
        raise InputError(f"A method is needed, as in `interlingua settings linear`; choose from {', '.join(METHODS)}.")
    described = [asdict(setting) for setting in describe_settings(method)]
    if as_json:
        console.emit_json({"method": method, "settings": described})
    else:
        _print(console.stdout(), method, described)


def _print(out: Console, method: str, described: list[dict[str, Any]]) -> None:
    if not described:
        out.print(f"The method {method} has no settings.")
        return
    out.print(f"Settings of the method {method}. Change one with --set NAME=VALUE or --settings FILE.")
    if method == "adversarial":
        from interlingua.neural.settings import RELEASED_CODE

        out.print("The paper is arXiv 2505.12540, version 4. The values of its released code are those of")
        out.print(RELEASED_CODE, soft_wrap=True)
    for setting in described:
        out.print()
        out.print(Text.assemble((setting["name"], "bold"), f" = {_shown(setting['default'])}"))
        meaning = _plain(setting["meaning"])
        for line in filter(None, (_accepted(setting), _published(setting), _presets(setting), meaning)):
            filled = textwrap.fill(line, min(out.width, _WIDTH), initial_indent=_INDENT, subsequent_indent=_INDENT)
            out.print(Text(filled))


def _accepted(setting: Mapping[str, Any]) -> str:
    from interlingua.aligners.setting_files import TYPES

    accepted = ": ".join(filter(None, (setting["type"], setting["range"].lower())))
    return accepted if setting["type"] in TYPES else f"{accepted} (in Python only)".lstrip()


def _published(setting: Mapping[str, Any]) -> str:
    paper, code = setting["paper"], setting["code"]
    if paper is None and code is None:
        return ""
    # Where the text of the paper states no value, `paper` repeats that of the code.
    if paper == code:
        return f"{_shown(code)} in the paper's released code"
    return f"{_shown(paper)} in the paper, {_shown(code)} in its released code"


def _presets(setting: Mapping[str, Any]) -> str:
    """Return the values of the presets that differ from the default, each with the presets that have it."""
    shared: dict[str, list[str]] = {}
    for preset, value in setting["presets"].items():
        if value != setting["default"]:
            shared.setdefault(_shown(value), []).append(preset)
    parts = [f"{value} in {', '.join(presets)}" for value, presets in shared.items()]
    return f"presets: {'; '.join(parts)}" if parts else ""


def _plain(meaning: str) -> str:
    """Return a meaning as a sentence without the markup of docstrings."""
    text = re.sub(r":\w+:`([^`]*)`", r"\1", meaning).replace("`", "")
    return text[:1].upper() + text[1:]


def _shown(value: Any) -> str:
    """Return a value as ``--set`` takes it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
