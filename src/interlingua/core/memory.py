"""Available memory, and the refusal of work that needs more of it."""

from __future__ import annotations

import os
from pathlib import Path

from interlingua.core.errors import InputError
from interlingua.core.wording import size_of

__all__ = ["available_bytes", "check_memory"]

_SYSTEM = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Return the bytes that this process can still allocate, within its container; None where the system has no answer.

    Linux: what the kernel counts as available, and what the control group (version 2, then 1) leaves. Elsewhere the
    physical memory.
    """
    limits = [_meminfo(), _control_group()]
    known = [limit for limit in limits if limit is not None]
    if known:
        return max(0, min(known))
    names = getattr(os, "sysconf_names", {})
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else None


def check_memory(needed: float, purpose: str, remedy: str) -> None:
    """Refuse work that needs more memory than is available.

    Args:
        needed: estimate of the largest allocation, in bytes.
        purpose: what needs it, for the message.
        remedy: a sentence that says what to do.

    Raises:
        InputError: more is needed than is available.
    """
    available = available_bytes()
    if available is not None and needed > available:
        sizes = [size_of(size) for size in (needed, available)]
        raise InputError(f"{purpose} needs about {sizes[0]} of memory and {sizes[1]} are available. {remedy}")


def _meminfo() -> int | None:
    try:
        fields = dict(line.split(":", 1) for line in _SYSTEM.read_text("ascii").splitlines() if ":" in line)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _control_group() -> int | None:
    for limit, usage, statistics, cache in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        try:
            most, used = (int((_CGROUP / name).read_text("ascii")) for name in (limit, usage))
            counts = dict(line.split() for line in (_CGROUP / statistics).read_text("ascii").splitlines())
            # The kernel gives up cached files before it refuses memory.
            return most - used + int(counts.get(cache, 0))
        except (OSError, ValueError):  # "max" stands for no limit
            continue
    return None
