"""A Ray cluster of two nodes on this machine that loses a worker and a node, for ``large.py kill``.

Ray gives a node 30 seconds to answer. On a loaded machine that can be too short, so the cluster is started again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Read when Ray is imported. Ray also lowers the priority of its workers, which would starve beside other work.
WAITS = {
    "RAY_worker_niceness": "0",
    "RAY_gcs_server_port_wait_time_s": "300",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_gcs_rpc_server_connect_timeout_s": "300",
    "RAY_gcs_server_request_timeout_seconds": "300",
}
STARTS = 5


def start_cluster() -> tuple[Any, Any, int]:
    """Return a cluster of two nodes with one processor each, its second node, and how many starts it took."""
    from ray.cluster_utils import Cluster

    for attempt in range(1, STARTS + 1):
        cluster = Cluster()
        try:
            cluster.add_node(num_cpus=1, include_dashboard=False)
            return cluster, cluster.add_node(num_cpus=1), attempt
        except Exception as error:  # noqa: BLE001, Ray raises a bare Exception where a node is late
            cluster.shutdown()
            sys.stderr.write(f"start {attempt} of {STARTS}: {error}\n")
    raise SystemExit(f"no Ray cluster after {STARTS} starts; run it on a less loaded machine")


def begun(folder: Path) -> Iterator[int]:
    """Yield the bytes of every part that a worker is writing now."""
    for path in folder.rglob(".[0-9]*.*"):
        try:
            yield path.stat().st_size
        except OSError:
            continue


def busy_workers(root: int) -> list[Any]:
    """Return the processes under ``root`` that run a task of Ray at the moment."""
    import psutil

    found = []
    for process in psutil.Process(root).children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::") and "IDLE" not in title and "translate_parts" in title:
            found.append(process)
    return found


def killer(
    root: int, folder: Path, end: threading.Event, killed: list[dict[str, Any]], remove: Callable[[], None]
) -> None:
    """Kill a worker in the middle of its part; when the next part is being written, kill a node."""
    while not end.is_set() and len(killed) < 2:
        time.sleep(0.02)
        if not any(begun(folder)):
            continue
        done = len(list(folder.rglob("part-*.parquet")))
        if not killed:
            workers = busy_workers(root)
            if workers:
                workers[0].send_signal(signal.SIGKILL)
                killed.append({"what": "worker", "parts_done": done})
        elif done > killed[0]["parts_done"]:
            remove()
            killed.append({"what": "node", "parts_done": done})


def translate_with_losses(directory: Path, rows: Path, folder: Path, *, batch_rows: int) -> dict[str, Any]:
    """Translate a Parquet file into ``folder``/out on two nodes; a worker and then a node are killed meanwhile."""
    os.environ.update(WAITS)
    import ray

    from interlingua.distributed.ray import translate_with_ray

    began = time.perf_counter()
    cluster, second, starts = start_cluster()
    killed: list[dict[str, Any]] = []
    end = threading.Event()
    try:
        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        nodes, processors = len(ray.nodes()), int(ray.cluster_resources()["CPU"])
        start = time.perf_counter()
        remove = lambda: cluster.remove_node(second, allow_graceful=False)  # noqa: E731
        thread = threading.Thread(target=killer, args=(os.getpid(), folder, end, killed, remove))
        thread.start()
        done = translate_with_ray(directory, rows, folder / "out", batch_rows=batch_rows)
        seconds = round(time.perf_counter() - start, 1)
        end.set()
        thread.join()
        left = sum(node["Alive"] for node in ray.nodes())
    finally:
        end.set()
        ray.shutdown()
        cluster.shutdown()
    return {
        "nodes": nodes,
        "nodes_left": left,
        "processors": processors,
        "starts": starts,
        "start_seconds": round(start - began, 1),
        "parts": done.parts,
        "killed": killed,
        "seconds": seconds,
    }
