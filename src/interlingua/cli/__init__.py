"""The command line: parse, call, print. Every number is computed elsewhere.

Exit codes: 0 done, 1 the work failed (a fit with the verdict ``failed`` too), 2 bad usage or input.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, cast

import typer

from interlingua.cli import (
    audit,
    bench,
    console,
    demo,
    doctor,
    evaluate,
    export,
    fit,
    identify,
    inspect,
    migrate,
    search,
    serve,
    translate,
)
from interlingua.core.errors import InputError, InterlinguaError, MissingExtraError, OutputExistsError

# The base of typer's usage errors has no public name of its own.
_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])

# The library speaks of its arguments; whoever types commands knows them as options.
_ARGUMENT = re.compile(
    r"\b(force|resume|column|key|id_column|scale|inverse|ids_as_text|drop_payload|skip_null|where)=(?:True|\.\.\.)"
)

_REFUSALS = (InputError, OutputExistsError, MissingExtraError)

app = typer.Typer(
    name="interlingua",
    help="Align two text-embedding spaces without paired rows, translate vectors between them, and know when not to.",
    epilog="Start with: interlingua demo. Exit codes: 0 done, 1 the work failed, 2 bad usage or input.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    fit.fit,
    translate.translate,
    evaluate.evaluate,
    migrate.migrate,
    search.search,
    export.export,
    identify.identify,
    audit.audit,
    bench.bench,
    serve.serve,
    inspect.inspect,
    doctor.doctor,
    demo.demo,
):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"interlingua {version('interlingua')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: what was typed after ``interlingua``; by default taken from the process.
    """
    typed = sys.argv[1:] if arguments is None else list(arguments)
    as_json = "--json" in typed
    with warnings.catch_warnings():
        warnings.showwarning = console.WarningPrinter()
        try:
            _refuse_secrets(typed)
            code = app(typed, prog_name="interlingua", standalone_mode=False)
        except _UsageError as error:
            error.show()
            return _fail(error.format_message(), 2, as_json=as_json, shown=True)
        except _REFUSALS as error:
            return _fail(str(error), 2, as_json=as_json)
        except (InterlinguaError, OSError) as error:
            return _fail(str(error), 1, as_json=as_json)
        except MemoryError as error:
            return _fail(f"Memory ran out ({error}); read fewer rows.", 1, as_json=as_json)
    return code if isinstance(code, int) else 0


def _refuse_secrets(typed: Sequence[str]) -> None:
    """Refuse addresses with a secret before any command or parser can repeat them in a message."""
    conditions = [place + 1 for place, argument in enumerate(typed) if argument == "--where"]
    for place, argument in enumerate(typed):
        value = argument.partition("=")[2] if argument.startswith("--") else argument
        if place in conditions or argument.startswith("--where=") or not re.search("[:=@\uff1a\uff1d%]", value):
            continue
        from interlingua.stores import SCHEMES
        from interlingua.stores._url import refuse_secret

        refuse_secret(value, options=SCHEMES)


def _fail(message: str, code: int, *, as_json: bool, shown: bool = False) -> int:
    """Say what went wrong on standard error, under ``--json`` also as an object on standard output."""
    message = re.sub(r"\btriggers='(\w+)'", r"--triggers \1", message)
    message = _ARGUMENT.sub(lambda match: "--" + match[1].replace("_", "-"), message)
    if not shown:
        console.note(f"Error: {message}")
    if as_json:
        console.emit_json({"error": message})
    return code
