"""Available memory: that of the system or of the container, whichever is less."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlingua.core import memory
from interlingua.core.errors import InputError
from interlingua.core.memory import available_bytes, check_memory


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "meminfo").write_text("MemTotal: 4000 kB\nMemAvailable: 2000 kB\n")
    monkeypatch.setattr(memory, "_SYSTEM", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    return tmp_path


def limit(system: Path, most: str, *, version: int = 2) -> None:
    folder = system if version == 2 else system / "memory"
    folder.mkdir(exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    (folder / names[0]).write_text(f"{most}\n")
    (folder / names[1]).write_text("600000\n")
    (folder / "memory.stat").write_text("anon 500000\ninactive_file 100000\ntotal_inactive_file 200000\n")


def test_without_a_container_the_system_decides(system: Path) -> None:
    assert available_bytes() == 2000 * 1024
    limit(system, "max")
    assert available_bytes() == 2000 * 1024


@pytest.mark.parametrize(("version", "expected"), [(2, 500_000), (1, 600_000)])
def test_a_container_leaves_its_limit_less_what_is_used_and_not_cache(
    system: Path, version: int, expected: int
) -> None:
    limit(system, "1000000", version=version)
    assert available_bytes() == expected


def test_a_full_container_leaves_nothing(system: Path) -> None:
    limit(system, "100000")
    assert available_bytes() == 0


def test_elsewhere_it_is_the_physical_memory_or_unknown(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (system / "meminfo").unlink()
    assert (available_bytes() or 2**40) > 2**20
    monkeypatch.delattr("os.sysconf_names")
    assert available_bytes() is None
    check_memory(1e30, "everything", "")


def test_too_much_is_refused_with_both_numbers(system: Path) -> None:
    check_memory(2_000_000, "The fit", "Pass fewer rows.")
    with pytest.raises(
        InputError, match=r"fit needs about 8.00 GB of memory and [0-9.]+ .* are available. Pass fewer rows"
    ):
        check_memory(8e9, "The fit", "Pass fewer rows.")
