"""The command line: it parses arguments, calls the library and prints the result.

Exit codes: 0 done; 1 the work failed, or a fit has the verdict ``failed``; 2 bad usage or input.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, cast

import typer

from interlingua.cli import (
    audit,
    bench,
    calibrate,
    console,
    demo,
    doctor,
    embed,
    evaluate,
    export,
    fit,
    identify,
    inspect,
    migrate,
    plan,
    search,
    serve,
    settings,
    streams,
    translate,
)
from interlingua.cli.help import Command
from interlingua.core.errors import (
    FUNCTIONS,
    InputError,
    InterlinguaError,
    MissingExtraError,
    OutputExistsError,
    SpaceMismatchError,
    UnusableRowError,
)
from interlingua.core.screen import STDOUT

__all__ = ["app", "main"]

# The base of typer's usage errors has no public name of its own.
_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])

# Options whose values are free text, even if they look like an address.
_FREE_TEXT = ("--where", "--target-where", "--set", "--authorized-by")
# Options whose value may be a program with arguments, such as the address of a service or a key. The commands that take
# programs, beside --encoder, repeat only the name of a program.
_PROGRAMS = ("--source-encoder", "--target-encoder", "--view-encoder", "--rerank")
_WITH_PROGRAMS = ("embed", "search")

# What is needed, by the kind of the error that pydantic raises, with which typer checks values from version 0.29 on.
_NEEDED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}

# Options that have another name than the argument of the library.
_OPTIONS = {
    "overwrite": "force",
    "encoders": "encoder",
    "models": "model",
    "files": "text",
    "folder": "run",
    "views": "view",
}
_WITHOUT_BAD_ROWS = (
    "`What is refused` in docs/formats.md has a script that writes a file without such rows. Rows of a store can be "
    "left out with --where or --target-where, if its kind and the command take conditions."
)
_NO_FOLDER = (
    "The working directory does not exist, and relative paths start from it; it may have been deleted. Change to a "
    "folder that exists."
)
_NOT_TEXT = (
    "A name or a text holds bytes that are not text in the encoding of this system. If they are UTF-8, set the "
    "environment variable PYTHONUTF8=1."
)
_REFUSALS = (InputError, OutputExistsError, MissingExtraError)

app = typer.Typer(
    name="interlingua",
    help="Align two text-embedding spaces without paired rows and translate vectors between them. Every fit ends in "
    "a verdict that says whether to trust it.",
    epilog="Start with interlingua demo, then interlingua fit --help. Exit codes: 0 done, 1 the work failed, 2 bad "
    "usage or input.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    plan.plan,
    fit.fit,
    translate.translate,
    evaluate.evaluate,
    migrate.migrate,
    embed.embed,
    search.search,
    calibrate.calibrate,
    export.export,
    identify.identify,
    audit.audit,
    bench.bench,
    serve.serve,
    settings.settings,
    inspect.inspect,
    doctor.doctor,
    demo.demo,
):
    app.command(cls=Command)(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.echo(f"interlingua {version('interlingua')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: the words after ``interlingua``; by default those of the process.
    """
    typed = sys.argv[1:] if arguments is None else list(arguments)
    with streams.any_encoding():
        return _run(typed, as_json="--json" in typed)


def _run(typed: list[str], *, as_json: bool) -> int:
    with warnings.catch_warnings():
        warnings.showwarning = console.WarningPrinter()
        try:
            _check_addresses(typed)
            code = _command()(typed, prog_name="interlingua", standalone_mode=False)
        except _UsageError as error:
            error.message = _usage_message(error.message, error.__cause__)
            error.show()
            return _fail(error.format_message(), 2, as_json=as_json, shown=True)
        except SpaceMismatchError as error:
            return _fail(f"{error.render(_option)}{_known_model(error.rows)}", 2, as_json=as_json)
        except UnusableRowError as error:
            advice = "" if error.remedy else f" {_WITHOUT_BAD_ROWS}"
            return _fail(f"{error.render(_option)}{advice}", 2, as_json=as_json)
        except _REFUSALS as error:
            return _fail(error.render(_option), 2, as_json=as_json)
        except InterlinguaError as error:
            return _fail(error.render(_option), 1, as_json=as_json)
        except OSError as error:
            if error.filename == STDOUT:
                return _fail(f"The result cannot be written to standard output ({error.strerror}).", 1, as_json=False)
            if error.filename is None and not _has_folder():
                return _fail(_NO_FOLDER, 2, as_json=as_json)
            return _fail(str(error), 1, as_json=as_json)
        except UnicodeEncodeError as error:
            if not _has_surrogate(str(error.object)):
                raise
            return _fail(_NOT_TEXT, 2, as_json=as_json)
        except MemoryError as error:
            return _fail(f"Memory ran out ({error}); read fewer rows.", 1, as_json=as_json)
    return code if isinstance(code, int) else 0


@cache
def _command() -> Any:
    """Return the parser of all commands, which takes longer to build than many commands take to run."""
    return typer.main.get_command(app)


def _usage_message(message: str, cause: object) -> str:
    """Return the message of a usage error; of a value that pydantic refused, what was given and what is needed.

    Args:
        message: the message of the parser.
        cause: the exception behind it, a ``ValidationError`` if pydantic refused a value.
    """
    if not hasattr(cause, "errors"):
        return message
    first = cause.errors()[0]
    facts = first.get("ctx", {})
    if first["type"] == "value_error":
        return str(facts["error"])
    if first["type"] not in _NEEDED:
        return message
    return f"{first['input'] or 'Nothing'} was given; {_NEEDED[first['type']].format(**facts)} is needed."


def _check_addresses(typed: Sequence[str]) -> None:
    """Refuse addresses with a secret before any command or parser can repeat them in a message, and those of no use.

    Raises:
        InputError: such an address, or one of the memory of this process, which ends with the command.
    """
    for previous, argument in zip(["", *typed], typed, strict=False):
        name, _, value = argument.partition("=") if argument.startswith("--") else (previous, "", argument)
        if name in _FREE_TEXT or not re.search("[:=@\uff1a\uff1d%]", value):
            continue
        takes_program = name in _PROGRAMS or (name == "--encoder" and typed[0] in _WITH_PROGRAMS)
        if takes_program and value.startswith("command:"):
            continue
        from interlingua.stores._url import check_no_secret

        check_no_secret(value)
        if value.strip().lower().startswith("memory://"):
            raise InputError(
                "memory:// holds collections of one Python process, and those of a command are gone when it ends. Name "
                "a file or a store on disk or on a server."
            )


def _known_model(rows: object) -> str:
    """Return a sentence that names the known model of some vectors, empty if there is none."""
    from interlingua import identification

    try:
        found = identification.identify(rows)
    except InputError:  # too few rows
        return ""
    return "" if found.model == identification.UNKNOWN else f" They resemble vectors of {found.model}."


def _fail(message: str, code: int, *, as_json: bool, shown: bool = False) -> int:
    """Print an error on standard error, with ``--json`` also as an object on standard output."""
    if not shown:
        console.note(f"Error: {message}")
    if as_json:
        # Standard output may be a file on a full disk, which must not hide the exit code.
        with contextlib.suppress(OSError):
            console.emit_json({"error": message})
    return code


def _has_folder() -> bool:
    """Return whether the working directory exists, which relative paths start from."""
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def _has_surrogate(text: str) -> bool:
    """Return whether a text holds bytes that Python could not decode."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _option(name: str, value: str) -> str:
    """Return an argument of the library as the option of the same meaning."""
    option = "--" + _OPTIONS.get(name, name).replace("_", "-")
    if name in FUNCTIONS:
        return f"the same command with {option}" + ("" if value == "True" else f" {_option(value, 'True')}")
    if value in {"True", "..."}:
        return option
    # Many messages quote the value themselves.
    quoted = value if value.startswith("'") else shlex.quote(value)
    return f"{option} {quoted}"
