"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from command_line import folder as folder
from command_line import planted as planted
from command_line import run as run
from command_line import saved as saved
from planted import draw_few_null_maps
from reported import alignment as alignment
from reported import drawn as drawn
from reported import everything as everything
from reported import spaces as spaces
from stores.servers import postgres_server as postgres_server

if TYPE_CHECKING:
    from interlingua.serve.session import Session

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Give each worker of pytest-xdist one processor: threads of several workers would wait for each other.

    A shell in the background starts its programs with interrupts ignored, which tests of interrupts must not inherit.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[int(worker.removeprefix("gw")) % len(processors)]})


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with the same stream in every test, whatever ran before."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real embeddings that lies beside the checkout, where there is one."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real embeddings in {folder}, which is not there")
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """The state of a page without files, whose fit is stopped at the end."""
    from interlingua.serve.session import Session

    made = Session(tmp_path / "session")
    made.folder.mkdir()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def empty_memory() -> Iterator[None]:
    """Forget the rows of the stores in memory, whose names may be those of folders that pytest uses again."""
    yield
    memory = sys.modules.get("interlingua.stores.memory")
    if memory is not None:
        memory._DATABASES.clear()


@pytest.fixture
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten fits whose map and verdict are not the claim: few null maps, and one round of exchanges."""
    draw_few_null_maps(monkeypatch)
    monkeypatch.setattr("interlingua.aligners.linear.exchanges._ROUNDS", 1)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, short_fits: None) -> dict[str, Any]:
    """The keywords of `align` as the command calls it; the fit itself stays as small as it can."""
    from interlingua._align import align

    seen: dict[str, Any] = {}

    def recorded(source: Any, target: Any, **keywords: Any) -> Any:
        seen.update(keywords, sides=(source, target))
        return align(source, target, **(keywords | {"rounds": 0}))

    monkeypatch.setattr("interlingua.align", recorded)
    return seen
