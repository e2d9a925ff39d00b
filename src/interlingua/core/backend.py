"""Operations on numpy arrays and torch tensors, and the number of threads.

numpy 2 implements the array API; torch does through ``array-api-compat``. This module adds what the standard lacks.

A BLAS library sums in another order for every number of threads, so results would depend on the machine's load and
configuration. Solvers therefore compute inside :func:`single_threaded_blas` and divide their work themselves, in parts
that do not depend on the number of cores, with :func:`parallel_map`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController, threadpool_info

from interlingua.core.arrays import require
from interlingua.core.errors import InputError, MissingExtraError

__all__ = [
    "Array",
    "available_cores",
    "default_torch",
    "describe_machine",
    "largest",
    "limit_torch_threads",
    "namespace",
    "parallel_map",
    "resolve_device",
    "row_parts",
    "sequential_map",
    "single_threaded_blas",
    "single_threaded_torch",
    "sparse_ones",
    "take",
    "to_device",
    "to_numpy",
]

# An array of either backend. The array API has no static type yet.
Array = Any
_Result = TypeVar("_Result")

_LINES = 256
# Rows of one part of the work: the results are those of this partition, whatever the number of cores.
_PART_ROWS = 512


def available_cores() -> int:
    """Return how many cores this process may use, at least 1.

    The smallest of the machine's cores, the process's affinity, the CPU quota of its container (cgroup), rounded up,
    and the environment variable ``LOKY_MAX_CPU_COUNT``, as joblib counts them.
    """
    from joblib import cpu_count

    return int(cpu_count())


def parallel_map(function: Callable[..., _Result], *iterables: Iterable[Any]) -> list[_Result]:
    """Return ``list(map(function, *iterables))``, computed in as many threads as there are cores.

    For functions that spend their time in numpy, which releases the interpreter's lock. Each call computes with one
    BLAS thread, so the result does not depend on the number of cores.
    """
    arguments = list(zip(*iterables, strict=True))
    # Cores are counted by reading files of the system, which takes as long as many small calls.
    workers = min(len(arguments), available_cores()) if len(arguments) > 1 else 1
    with single_threaded_blas():
        if workers < 2:
            return [function(*values) for values in arguments]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda values: function(*values), arguments))


def sequential_map(function: Callable[..., _Result], *iterables: Iterable[Any]) -> list[_Result]:
    """Return ``list(map(function, *iterables))``: for tensors, and for work inside a part of `parallel_map`."""
    return list(map(function, *iterables))


def row_parts(rows: Array) -> list[Array]:
    """Return rows [n, ...] in the fixed partition of work on the CPU; a GPU takes them as one part."""
    size = _PART_ROWS if isinstance(rows, np.ndarray) else rows.shape[0]
    return [rows[start : start + size] for start in range(0, rows.shape[0], size)]


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Let BLAS use one thread in the whole process until the last of all overlapping blocks has ended.

    The limit belongs to the process, because BLAS libraries have no other. Blocks that overlap in several threads are
    counted: the first sets the limit and the last restores what was set before.
    """
    _BLAS_LIMIT.acquire()
    try:
        yield
    finally:
        _BLAS_LIMIT.release()


class _SharedBlasLimit:
    """The limit of one BLAS thread, counted so that overlapping users neither lift it early nor leave it behind."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._limit: Any = None
        self._libraries: tuple[int, ThreadpoolController] | None = None

    def acquire(self) -> None:
        """Set the limit unless another user holds it already."""
        with self._lock:
            if not self._users:
                # scipy may bring a BLAS of its own, and only a library that is loaded can be limited.
                import_module("scipy.linalg")
                _release_control()
                self._limit = self._controller().limit(limits=1, user_api="blas")
            self._users += 1

    def release(self) -> None:
        """Restore the previous thread count after the last user."""
        with self._lock:
            self._users -= 1
            if not self._users:
                _release_control()
                self._limit.restore_original_limits()
                _release_control()
                self._limit = None

    def _controller(self) -> ThreadpoolController:
        """Return a controller of the loaded libraries, which are looked for again after an import."""
        # Looking for them reads a file of the system, which takes milliseconds, longer than many calls in the block.
        modules = len(sys.modules)
        if self._libraries is None or self._libraries[0] != modules:
            self._libraries = modules, ThreadpoolController()
        return self._libraries[1]


def _release_control() -> None:
    """Let the current thread set the threads of OpenBLAS.

    threadpoolctl 3.8 ignores every thread but the first that set a limit, also when the limit is to be restored.
    """
    release = getattr(OpenBLASController, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)


# One per process, like the setting it guards.
_BLAS_LIMIT = _SharedBlasLimit()


def limit_torch_threads() -> int:
    """Lower the threads that torch computes with on the CPU to the available cores, and return their number.

    torch counts the cores of the machine. In a container that may use one of 64, its threads would spend their time
    waiting for each other. A lower number, set by the user or by ``OMP_NUM_THREADS``, is kept.

    Raises:
        MissingExtraError: torch is not installed.
    """
    torch = _torch()
    threads = min(torch.get_num_threads(), available_cores())
    if threads < torch.get_num_threads():
        torch.set_num_threads(threads)
    return int(threads)


@contextmanager
def single_threaded_torch() -> Iterator[None]:
    """Let torch compute on the CPU with one thread, and restore the number of threads at the end.

    The products of small networks are too short to divide. On cores that other processes use too, the threads of torch
    wait for each other after each of them, which can take many times as long as the products.

    Raises:
        MissingExtraError: torch is not installed.
    """
    torch = _torch()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def default_torch() -> Iterator[None]:
    """Train with torch's defaults, whatever the caller has set: gradients, float32, the CPU, and no autocast.

    Otherwise a fit inside ``torch.no_grad()`` or ``torch.autocast``, or after ``torch.set_default_dtype``, would fail
    or give another result. The caller's settings are restored at the end.

    Raises:
        MissingExtraError: torch is not installed.
    """
    torch = _torch()
    dtype, device = torch.get_default_dtype(), torch.empty(0).device
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            stack.enter_context(torch.autocast(kind, enabled=False))
        if device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
        yield


def describe_machine() -> dict[str, Any]:
    """Return cores and BLAS libraries as plain values for a card; rounding may differ between two of them."""
    import_module("scipy.linalg")
    libraries = [
        f"{library['internal_api']} {library['version']} ({library.get('architecture') or 'unknown'})"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    return {"cores": available_cores(), "blas": sorted(set(libraries))}


def namespace(x: Array) -> Any:
    """Return the array namespace that ``x`` belongs to."""
    return np if isinstance(x, np.ndarray) else require("array_api_compat.torch", "torch")


def resolve_device(device: str) -> str:
    """Return the name of an existing device: ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.

    Args:
        device: one of these, or ``"auto"``: an NVIDIA GPU if torch finds one, otherwise the CPU.

    Raises:
        InputError: the name is not known, or torch finds no such device.
        MissingExtraError: a GPU is named and torch is not installed.
    """
    if device == "cpu":
        return device
    try:
        torch = _torch()
    except MissingExtraError:
        if device == "auto":
            return "cpu"
        raise
    has_cuda = bool(torch.cuda.is_available())
    if device == "auto":
        return "cuda" if has_cuda else "cpu"
    require("array_api_compat.torch", "torch")
    kind, _, number = device.partition(":")
    if kind not in ("cuda", "mps") or (device != kind and not (kind == "cuda" and number.isdecimal())):
        raise InputError(f"There is no device {device!r}; choose from cpu, cuda, cuda:N with a number N, mps, auto.")
    if not (has_cuda if kind == "cuda" else torch.backends.mps.is_available()):
        raise InputError(f"device is {device!r} and torch finds no GPU.", "Use {device='cpu'} or {device='auto'}.")
    if number and int(number) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InputError(f"device is {device!r} and torch finds {count} GPUs, numbered from 0.", "Use {device='cuda'}.")
    return device


def to_device(x: np.ndarray[Any, Any], device: str) -> Array:
    """Return ``x`` as it is for ``"cpu"``, otherwise as a tensor on a torch device such as ``"cuda"``.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: torch has no such device.
    """
    if device == "cpu":
        return x
    torch = _torch()
    try:
        # torch warns of arrays that cannot be written, such as those of a problem.
        return torch.as_tensor(x if x.flags.writeable else x.copy(), device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} is not available ({error}).", "Use {device='cpu'}.") from error


def to_numpy(x: Array) -> Any:
    """Return ``x`` as a numpy array."""
    return x if isinstance(x, np.ndarray) else x.detach().cpu().numpy()


def take(x: Array, index: np.ndarray[Any, Any]) -> Array:
    """Return the rows of ``x`` at a numpy index."""
    return x[index] if isinstance(x, np.ndarray) else x[namespace(x).asarray(index, device=x.device)]


def sparse_ones(i: Array, j: Array, shape: tuple[int, int], like: Array) -> Any:
    """Return the sparse matrix with ones at the positions (i, j), of the backend and dtype of ``like``."""
    if isinstance(like, np.ndarray):
        from scipy.sparse import csr_array

        return csr_array((np.ones(len(i), like.dtype), (i, j)), shape=shape)
    torch = _torch()
    return torch.sparse_coo_tensor(
        torch.stack([i, j]), torch.ones_like(i, dtype=like.dtype), shape, check_invariants=False
    )


def largest(x: Array, k: int, *, axis: int) -> Array:
    """Return the ``k`` largest values along ``axis`` of ``x`` [n, m], unsorted, one line per row: [n, k] or [m, k]."""
    if not isinstance(x, np.ndarray):
        return x.topk(k, dim=axis, sorted=False).values.movedim(axis, 1)
    lines = x if axis == 1 else x.T
    # Blocks that fit into the cache; a transposed line is gathered once and not at every comparison.
    blocks = (np.ascontiguousarray(lines[start : start + _LINES]) for start in range(0, len(lines), _LINES))
    return np.concatenate([np.partition(block, -k, axis=1)[:, -k:] for block in blocks])


def _torch() -> ModuleType:
    """Import torch.

    Raises:
        MissingExtraError: torch is not installed.
    """
    return require("torch", "torch")
