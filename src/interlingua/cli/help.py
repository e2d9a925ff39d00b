"""The layout of ``--help``: plain text with options in named groups, and examples at the end."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

from typer.core import TyperCommand

from interlingua.cli import console
from interlingua.cli.interrupted import advice_after, output_version
from interlingua.core.arguments import check_count
from interlingua.core.errors import InputError

__all__ = ["EXAMPLES", "Command", "groups_of"]

EXAMPLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "fit": (
            "interlingua fit old.npy new.npy --out translator --report report.html",
            "interlingua fit old.parquet new.npy --column vector --out translator",
            "interlingua fit old.npy new.npy --out translator --device cuda",
            "interlingua fit old.npy new.npy --out t --method adversarial --set lr=5e-5",
            "interlingua fit duckdb:///data/old.duckdb#items.v new.parquet --sample 9000 --out t",
            "interlingua fit duckdb:///data/old.duckdb#items.v reembedded.parquet --pair-by-id --out t",
            "interlingua fit duckdb:///data/old.duckdb#items.v new.parquet --reembedded again.parquet --out t",
            "interlingua fit --source-encoder OLD --target-encoder NEW --texts public.txt --out t",
            "interlingua fit old.npy --target-encoder NEW --texts public.txt --view-encoder OTHER --out t",
            "interlingua fit old.npy new.parquet --view-encoder OTHER --text-column title --out t",
        ),
        "translate": (
            "interlingua translate translator old.parquet --out new.parquet",
            "interlingua translate translator old.npy --out part1.npy --shard 1/4",
            "interlingua translate translator big.parquet --out new/ --engine ray",
        ),
        "evaluate": (
            "interlingua evaluate translator old-eval.npy new-eval.npy --report scores.html",
            "interlingua evaluate translator lancedb:///data#old lancedb:///data#new --sample 2000",
        ),
        "migrate": (
            "interlingua migrate translator old.parquet lancedb:///data/lance#new --dry-run",
            "interlingua migrate translator qdrant://127.0.0.1#old qdrant://127.0.0.1#new",
        ),
        "embed": (
            "interlingua embed old.parquet new.parquet --encoder NEW-MODEL --text-column text",
            "interlingua embed duckdb://s.db#items.old duckdb://s.db#items.new --encoder NEW-MODEL",
        ),
        "search": (
            "interlingua search translator old.parquet --query queries.npy -k 5",
            "interlingua search translator old.parquet --text 'renew a passport' --rerank NEW-MODEL",
            "interlingua search translator lancedb:///data#migrated --translated --query queries.npy",
        ),
        "calibrate": (
            "interlingua calibrate translator old.npy new.npy --out calibrated",
            "interlingua calibrate t old.npy new.npy --target-queries asked.npy --out t --force",
        ),
        "export": (
            "interlingua export translator --to onnx --out translator.onnx",
            "interlingua export translator --to sentence-transformers --encoder minilm --out bridge",
        ),
        "identify": ("interlingua identify vectors.parquet",),
        "audit": (
            "interlingua audit leaked.npy --corpus public.jsonl --corpus-vectors public.npy --authorized-by me",
            "interlingua audit --demo",
        ),
        "bench": ("interlingua bench attributes --vectors mine --corpus news --on tweets --seeds 0:5",),
        "plan": (
            "interlingua plan postgresql://me@host/shop#items.embedding",
            "interlingua plan old.parquet new.parquet --json",
        ),
        "serve": ("interlingua serve --port 8765 --no-browser",),
        "settings": ("interlingua settings linear", "interlingua settings adversarial --json"),
        "inspect": ("interlingua inspect translator",),
        "doctor": ("interlingua doctor --json",),
        "demo": ("interlingua demo", "interlingua demo --data my-vectors --report demo.html"),
    }
)


# Choices and ranges as typer and click write them.
_CHOICES = re.compile(r"<([\w|-]+\|[\w|-]+)>")
_RANGE = re.compile(r"(?<=[ \[])(?:([\d.]+)<=)?x([<>]=)([\d.]+)(?=\])")
_FIRST_COLUMN, _GAP, _SHORTEST = 30, 2, 10


def groups_of(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Return the arguments and options of a command, with their help, by the name of their group.

    Args:
        command: a command of the command line.
        ctx: its context, typer's own or click's.
    """
    groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    parameters: list[Any] = list(command.get_params(ctx))
    for param in parameters:
        record = param.get_help_record(ctx)
        if record is None:
            continue
        name, text = _CHOICES.sub(r"\1", record[0]), _plain_range(record[1])
        if param.param_type_name == "argument":
            # The name of an argument already says what it is; its type would repeat it.
            groups["Arguments"].append((param.metavar or param.name.upper(), text))
        else:
            groups.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append((name, text))
    return {name: records for name, records in groups.items() if records}


class Command(TyperCommand):
    """A command whose help shows the groups of its options and examples of its use.

    The context is typer's own or click's, depending on the version of typer.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return ``[OPTIONS]`` and the arguments, optional ones in brackets."""
        arguments: list[Any] = [param for param in self.get_params(ctx) if param.param_type_name == "argument"]
        names = [(param.metavar or param.name.upper(), param.required) for param in arguments]
        return ["[OPTIONS]", *(name if required else f"[{name}]" for name, required in names)]

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and say after Ctrl-C or SIGTERM that it was interrupted, unless it has said so itself."""
        before = output_version(ctx.params)
        # The server handles both signals itself.
        with nullcontext() if ctx.info_name == "serve" else console.ending_on_sigterm():
            try:
                return super().invoke(ctx)
            except console.ExplainedInterrupt:
                raise
            except KeyboardInterrupt as error:
                console.note(f"Interrupted.{advice_after(ctx.info_name, ctx.params, before)}")
                raise console.ExplainedInterrupt from error

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, and refuse values that no library can take.

        Raises:
            InputError: an empty path, or a whole number that 64 bits do not hold.
        """
        typed = list(args)
        rest = super().parse_args(ctx, args)
        parameters: list[Any] = list(self.get_params(ctx))
        for param in parameters:
            value = ctx.params.get(param.name)
            is_path = isinstance(value, Path) or re.search("FILE|DIR|PUT|FOLDER", param.metavar or "")
            if is_path and _is_empty(param, value, typed):
                name = (param.metavar or param.name.upper()) if param.param_type_name == "argument" else param.opts[0]
                raise InputError(f"{name} is empty; the path of a file or folder is needed.")
            for number in value if isinstance(value, list | tuple) else (value,):
                if isinstance(number, int) and not isinstance(number, bool):
                    check_count(number, param.opts[0], minimum=-math.inf)
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options in groups, in the order of the function's parameters."""
        for name, records in groups_of(self, ctx).items():
            with formatter.section(name):
                _write_list(formatter, records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, continued with a backslash where a line is too long, so that they can be copied."""
        examples = EXAMPLES.get(self.name or "", ())
        if examples:
            formatter.write_paragraph()
            lines = (_continued(example, formatter.width - _GAP) for example in examples)
            formatter.write("Examples:\n" + "".join(f"  {line}\n" for line in lines))


def _is_empty(param: Any, value: Any, typed: list[str]) -> bool:
    """Return whether an empty text was typed for a parameter, which as a path would be the working folder."""
    if param.param_type_name == "argument":
        return str(value) in {"", "."} and "" in typed and "." not in typed
    follows = any(word in param.opts and after == "" for word, after in zip(typed, typed[1:], strict=False))
    return follows or any(f"{option}=" in typed for option in param.opts)


def _plain_range(text: str) -> str:
    """Return a help text with ranges in words: ``[x>=2]`` as ``[at least 2]``."""

    def worded(found: re.Match[str]) -> str:
        low, sign, bound = found.groups()
        return f"{low} to {bound}" if low else f"{'at least' if sign == '>=' else 'at most'} {bound}"

    return _RANGE.sub(worded, text)


def _write_list(formatter: Any, records: list[tuple[str, str]]) -> None:
    """Write names and texts in two columns. Unlike click's own, a line never ends inside a hyphenated word."""
    indent = " " * formatter.current_indent
    column = min(max(len(name) for name, _ in records), _FIRST_COLUMN) + _GAP
    width = max(formatter.width - formatter.current_indent - column, _SHORTEST)
    for name, text in records:
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
        if len(name) > column - _GAP:
            lines.insert(0, "")
        first = f"{name:{column}}{lines[0]}".rstrip()
        rest = [" " * column + line for line in lines[1:]]
        formatter.write("".join(f"{indent}{line}\n" for line in (first, *rest)))


def _continued(example: str, width: int) -> str:
    """Return a command on as few lines as fit the width, broken before options."""
    pieces = re.split(r" (?=--?[a-z])", example)
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) + 3 > width:
            lines[-1] += " \\"
            lines.append("    " + piece)
        else:
            lines[-1] += " " + piece
    return "\n  ".join(lines)
