"""``interlingua doctor``: a check of the packages and hardware of this machine."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import typer
from packaging.requirements import Requirement
from rich.table import Table
from rich.text import Text

from interlingua.cli import console
from interlingua.cli.options import AsJson
from interlingua.core.backend import describe_machine
from interlingua.core.errors import InputError
from interlingua.core.memory import available_bytes
from interlingua.stores.registry import STORES, available_stores

__all__ = ["doctor"]

_TOOLS = (
    "torch",
    "report",
    "ot",
    "neural",
    "tensorboard",
    "onnx",
    "hub",
    "encoder",
    "bench",
    "serve",
    "ray",
    "hdf5",
    "kinds",
    "yaml",
)
_EXTRAS = (*_TOOLS, *(kind.extra for kind in STORES.values() if kind.extra))


def doctor(as_json: AsJson = False) -> None:
    """Check the packages and hardware of this machine.

    Shows Python, packages, extras, stores, threads, memory, disk and devices, and how to install what is missing.
    """
    core, extras = _packages()
    problems = [
        f"{name} {package['needed']} is needed, {package['version'] or 'none'} is installed: "
        f"pip install '{name}{package['needed']}'"
        for name, package in core.items()
        if not package["ok"]
    ]
    stores: dict[str, dict[str, Any]] = {}
    try:
        stores = {
            scheme: {
                "title": kind.title,
                "extra": kind.extra,
                "installed": extras[kind.extra]["installed"] if kind.extra in extras else True,
            }
            for scheme, kind in available_stores().items()
        }
    except InputError as error:  # a package declares a store that cannot be used
        problems.append(str(error))
    machine = describe_machine()
    report: dict[str, Any] = {
        "ok": not problems,
        "problems": problems,
        "interlingua": metadata.version("interlingua"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": core,
        "extras": extras,
        "stores": stores,
        "blas": machine["blas"],
        "cpus": machine["cores"],
        "memory_gib": _memory(),
        "disk_free_gib": _gib(shutil.disk_usage(Path.cwd()).free),
        "device": _device(),
    }
    if as_json:
        console.emit_json(report)
    else:
        _print(report)
    if problems:
        raise typer.Exit(1)


def _packages() -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the packages that the installed metadata requires, with their versions: of the core, and of each extra."""
    requirements = [Requirement(text) for text in metadata.requires("interlingua") or ()]
    core = {
        needed.name: {"version": _version(needed.name), "needed": str(needed.specifier), "ok": _is_met(needed)}
        for needed in requirements
        if needed.marker is None or needed.marker.evaluate({"extra": ""})
    }
    extras = {}
    for extra in _EXTRAS:
        own = list(_of_extra(extra, requirements))
        packages = {needed.name: _version(needed.name) for needed in own}
        extras[extra] = {"installed": all(map(_is_met, own)), "packages": packages}
    return core, extras


def _of_extra(extra: str, requirements: Sequence[Requirement]) -> Iterator[Requirement]:
    """Yield the packages of an extra, with those of the extras that it includes."""
    for needed in requirements:
        if (
            needed.marker is None
            or not needed.marker.evaluate({"extra": extra})
            or needed.marker.evaluate({"extra": ""})
        ):
            continue
        if needed.name == "interlingua":
            for other in sorted(needed.extras):
                yield from _of_extra(other, requirements)
        else:
            yield needed


def _is_met(needed: Requirement) -> bool:
    version = _version(needed.name)
    return version is not None and needed.specifier.contains(version, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _memory() -> dict[str, float | None]:
    known = getattr(os, "sysconf_names", {})
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in known else None
    sizes = {"total": total, "available": available_bytes()}
    return {name: None if size is None else _gib(size) for name, size in sizes.items()}


def _gib(size: int) -> float:
    return round(size / 2**30, 1)


def _device() -> dict[str, Any]:
    if _version("torch") is None:
        return {"name": "cpu", "reason": "torch is not installed"}
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory
        return {"name": "cuda", "reason": torch.cuda.get_device_name(0), "memory_gib": _gib(memory)}
    if torch.backends.mps.is_available():
        return {"name": "mps", "reason": "Apple GPU"}
    return {"name": "cpu", "reason": "torch sees no accelerator"}


def _print(report: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))

    def row(name: str, value: str, ok: bool | None = True) -> None:
        mark = {True: Text("ok", "green"), False: Text("missing", "red"), None: Text("-", "dim")}[ok]
        table.add_row(mark, Text(name, "bold"), Text(value))

    row("interlingua", f"{report['interlingua']} on Python {report['python']} ({sys.executable})")
    for name, package in report["packages"].items():
        row(name, f"{package['version'] or 'not installed'} (needed {package['needed']})", package["ok"])
    for extra, state in report["extras"].items():
        versions = ", ".join(f"{name} {version or 'not installed'}" for name, version in state["packages"].items())
        hint = "" if state["installed"] else f"; optional, pip install 'interlingua[{extra}]'"
        row(f"extra {extra}", versions + hint, True if state["installed"] else None)
    ready = [f"{scheme}://" for scheme, store in report["stores"].items() if store["installed"]]
    row("stores", ", ".join(ready))
    row("threads", f"{report['cpus']} cores; {', '.join(report['blas'])}")
    memory = report["memory_gib"]
    row("memory", f"{memory['total']} GiB, {memory['available']} GiB available")
    row("disk", f"{report['disk_free_gib']} GiB free in the working directory")
    row("device", f"{report['device']['name']} ({report['device']['reason']})")
    out = console.stdout()
    out.print(table)
    for problem in report["problems"]:
        out.print(Text(problem, "red"))
