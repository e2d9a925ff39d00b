"""Opening the store that an address names."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from interlingua.core.arguments import check_text
from interlingua.core.errors import InputError
from interlingua.core.wording import size_of
from interlingua.stores._protocol import FileFacts, Store
from interlingua.stores._url import StoreURL, parse_url


def input_files(*urls: str) -> list[Path]:
    """Return the files and folders of this machine that these addresses name; empty addresses are ignored."""
    return [Path(url.path) for url in map(parse_url, filter(None, urls)) if url.on_disk]


def open_store(url: str | StoreURL) -> Store:
    """Open a store; nothing is created.

    Args:
        url: path of a file, or an address of one of `available_stores`.

    Raises:
        InputError: the address cannot be read, nothing exists at that path, or the server does not answer.
        MissingExtraError: the store's client is not installed.
    """
    url = url if isinstance(url, StoreURL) else parse_url(check_text(url, "address"))
    # Only modules that interlingua or an installed package registered are imported, never one that an address names.
    adapter = url.kind.load()
    if not (isinstance(adapter, type) and issubclass(adapter, Store)):
        raise InputError(f"The adapter {url.kind.adapter} of {url.scheme}:// is not a subclass of Store. Correct it.")
    return adapter(url)


def open_source(url: str | StoreURL) -> Store:
    """Open a store to read from it, without a change to any of its files.

    An embedded database that rewrites its files when it is opened is read from a temporary copy, which `Store.close`
    removes.

    Args:
        url: as in `open_store`.

    Raises:
        InputError: as in `open_store`; or there is too little space for the copy, or the files change meanwhile.
        MissingExtraError: the store's client is not installed.
    """
    url = url if isinstance(url, StoreURL) else parse_url(check_text(url, "address"))
    store = open_store(url)  # refuses names that cannot be used
    files = store.files(url)
    if store.capabilities.reads_only or not url.on_disk or not files.exists():
        return store
    store.close()
    if files.is_file():
        raise InputError(f"{url}: {url.path} is a file, and the path of a folder is needed.")
    before = _facts(files)
    needed, free = sum(size for size, *_ in before.values()), shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        raise InputError(
            f"{url} is read from a copy, because opening it changes its files. The copy needs {size_of(needed)} "
            f"and {size_of(free)} are free in {tempfile.gettempdir()}. Set TMPDIR to a folder with more space."
        )
    copy = tempfile.TemporaryDirectory(prefix="interlingua-")
    try:
        shutil.copytree(files, Path(copy.name) / files.relative_to(url.path), dirs_exist_ok=True)
        if _facts(files) != before:
            raise InputError(f"{url} is being written to. Stop the writes, or read a snapshot.")
        store = open_store(replace(url, path=copy.name))
    except BaseException:
        copy.cleanup()
        raise
    store.read_from_copy(url, copy, before)
    return store


def reopen_source(store: Store) -> Store:
    """Open the store of the same address anew, to read it as it is now; a copy of unchanged files is returned itself.

    Raises:
        InputError: as in `open_source`.
    """
    if store.copied_files is not None and _facts(store.files(store.url)) == store.copied_files:
        return store
    return open_source(store.url)


def _facts(folder: Path) -> FileFacts:
    """Return facts about each file; unlike the time of its content, that of its inode cannot be set by a program."""
    stats = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {path: (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for path, stat in stats}
