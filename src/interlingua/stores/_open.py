"""Opening the store that an address names."""

from __future__ import annotations

from pathlib import Path

from interlingua.stores._protocol import Store
from interlingua.stores._url import StoreURL, parse_url
from interlingua.stores.registry import STORES


def input_files(*urls: str) -> list[Path]:
    """Return the files and folders of this machine that these addresses name; empty addresses are ignored."""
    return [Path(url.path) for url in map(parse_url, filter(None, urls)) if url.on_disk]


def open_store(url: str | StoreURL) -> Store:
    """Open a store; nothing is created.

    Args:
        url: path of a file, or one of the addresses in `STORES`.

    Raises:
        InputError: the address cannot be read, nothing is at that place, or the server does not answer.
        MissingExtraError: the store's client is not installed.
    """
    url = parse_url(url) if isinstance(url, str) else url
    # A scheme is looked up in a closed table, so no address can import a module of its choice.
    return STORES[url.scheme].load()(url)
