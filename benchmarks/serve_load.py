"""Load the page of `interlingua serve` and attack it; one JSON line per case.

    python benchmarks/serve_load.py --mib 300 --label after --out benchmarks/results/serve-load.jsonl

Each case starts a server of its own. While files are uploaded and read, another process asks for `/state` every 25 ms
and keeps the time of each answer. In turn with it a control is asked: a bare server with nothing else to do, whose
slow answers are those of a busy machine. Cases: nothing else to do, a large file of each format, 50 clients with small
files, 50 clients that send one byte a second, damaged files of every format, and requests that a web page of another
site could cause.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WIDTH = 512
CLIENTS = 50
FORMATS = ("npy", "npz", "parquet", "jsonl")
DAMAGED = ("npy", "npz", "safetensors", "parquet", "arrow", "jsonl", "jsonl.gz", "csv", "csv.gz", "fvecs", "bvecs",
           "ivecs", "fbin", "u8bin", "i8bin", "vec", "h5")  # fmt: skip


@contextlib.contextmanager
def serving(max_mib: int = 4_096) -> Iterator[int]:
    """Start a server and give its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "interlingua", "serve", "--no-browser", "--port", str(port)]
    with subprocess.Popen([*command, "--max-mb", str(max_mib)], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 120
            while True:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if ask(port, "GET", "/state")[0] == 200:
                        break
                if time.monotonic() > deadline:
                    raise TimeoutError("the server did not start")
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait(60)


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, patience: float = 1_200
) -> tuple[int, str]:
    """Return status and text of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


class Watch:
    """Asks for the state and the control in turn in a process of its own and keeps the seconds of every answer.

    Threads of this process would share an interpreter with the clients and wait for it.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._answers: dict[str, Any] = {}

    def __enter__(self) -> Watch:
        self._server = _processor_seconds(self._port)
        command = [sys.executable, __file__, "--watch", str(self._port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        said, _ = self._process.communicate("")
        self._answers = json.loads(said)
        self._answers["server_processor_s"] = round(_processor_seconds(self._port) - self._server, 2)

    def figures(self) -> dict[str, Any]:
        """Return the distribution of the answers' seconds."""
        facts: dict[str, Any] = {name: self._answers[name] for name in ("server_processor_s", "peak_mib")}
        for name in ("state", "control"):
            taken = np.array(self._answers[name]["seconds"] or [np.nan])
            facts |= {
                f"{name}_requests": len(self._answers[name]["seconds"]),
                f"{name}_median_s": round(float(np.median(taken)), 4),
                f"{name}_p99_s": round(float(np.quantile(taken, 0.99)), 4),
                f"{name}_max_s": round(float(taken.max()), 4),
                f"{name}_above_200_ms": int((taken > 0.2).sum()),
                f"{name}_errors": self._answers[name]["errors"],
            }
        return facts


def watch(port: int) -> None:
    """Ask both servers until standard input ends, and print the seconds of their answers."""
    with control_server() as control:
        ended = threading.Event()
        answers: dict[str, dict[str, Any]] = {name: {"seconds": [], "errors": 0} for name in ("state", "control")}
        ports = {"state": port, "control": control}
        server = _server_process(port)
        peak = {"server": 0, "reader": 0}

        def run() -> None:
            # Alternately, so that both meet the same load.
            while not ended.wait(0.025):
                peak["server"] = max(peak["server"], _resident_mib(server))
                peak["reader"] = max([peak["reader"], *map(_resident_mib, _children(server))])
                for name, asked in ports.items():
                    began = time.monotonic()
                    try:
                        status, _ = ask(asked, "GET", "/state", patience=60)
                        answers[name]["errors"] += status != 200
                    except (OSError, http.client.HTTPException):
                        answers[name]["errors"] += 1
                    answers[name]["seconds"].append(time.monotonic() - began)

        asking = threading.Thread(target=run)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        asking.start()
        sys.stdin.read()
        ended.set()
        asking.join()
        sys.stdout.write(json.dumps({**answers, "peak_mib": peak}))


@contextlib.contextmanager
def control_server() -> Iterator[int]:
    """Start a bare server in a process of its own and give its port."""
    code = (
        "import http.server as h\n"
        "class Answer(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'{}')\n"
        "    def log_message(self, *_): pass\n"
        "server = h.HTTPServer(('127.0.0.1', 0), Answer)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _server_process(port: int) -> Path:
    """Return the folder in /proc of the server that listens on a port."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if f"--port\0{port}\0" in folder.joinpath("cmdline").read_text():
                    return folder
    raise ProcessLookupError(f"no server on port {port}")


def _children(process: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        lists = [path.read_text() for path in process.glob("task/*/children")]
        return [process.with_name(number) for line in lists for number in line.split()]
    return []


def _resident_mib(process: Path) -> int:
    """Return the resident memory of a process without pages of files, 0 if it has ended.

    Pages of mapped files are left out, because the system takes them back when it needs memory.
    """
    with contextlib.suppress(OSError):
        for line in process.joinpath("status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) // 1024
    return 0


def _processor_seconds(port: int) -> float:
    """Return the processor seconds of the server that listens on a port, without those of its readers."""
    fields = _server_process(port).joinpath("stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def large_file(folder: Path, kind: str, mib: int) -> Path:
    """Write a file of about ``mib`` MiB with ids and texts, where the format has them."""
    rng = np.random.default_rng(0)
    path = folder / f"large.{kind}"
    if kind == "jsonl":
        lines = [json.dumps(np.round(row, 6).tolist()) for row in rng.standard_normal((500, WIDTH))]
        with path.open("w") as stream:
            row = 0
            while stream.tell() < mib * 2**20:
                stream.write(f'{{"id": {row}, "text": "text {row}", "vector": {lines[row % 500]}}}\n')
                row += 1
        return path
    n = mib * 2**20 // (4 * WIDTH)
    block = rng.standard_normal((n, WIDTH), np.float32)
    if kind == "npy":
        np.save(path, block)
    elif kind == "npz":
        np.savez(path, vectors=block, id=np.arange(n))
    else:
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), WIDTH)
        texts = [f"text {row}" for row in range(n)]
        pq.write_table(pa.table({"id": np.arange(n), "text": texts, "vector": vectors}), path)
    return path


def upload(port: int, path: Path) -> dict[str, Any]:
    """Upload a file while the state is asked for."""
    began = time.monotonic()
    with Watch(port) as watch, path.open("rb") as stream:
        headers = {"Content-Length": str(path.stat().st_size)}
        status, text = ask(port, "PUT", f"/files/source?name={path.name}", stream, headers)
    facts = {"status": status, "mib": round(path.stat().st_size / 2**20), "seconds": round(time.monotonic() - began, 1)}
    return {**facts, "answer": text[:200], **watch.figures()}


def idle(port: int) -> dict[str, Any]:
    """Ask for the state for 20 seconds while nothing else happens: what the machine alone makes of the time."""
    with Watch(port) as watch:
        time.sleep(20)
    return watch.figures()


def many_clients(port: int) -> dict[str, Any]:
    """Let 50 clients upload 2 MiB and ask for the page and the state, all at once."""
    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).standard_normal((1024, WIDTH), np.float32))
    statuses: dict[str, int] = {}
    lock = threading.Lock()

    def visit(number: int) -> None:
        for method, path, body in (
            ("GET", "/", None),
            ("PUT", f"/files/{('source', 'target')[number % 2]}?name=a{number}.npy", stream.getvalue()),
            ("GET", "/state", None),
        ):
            try:
                key = f"{method} {ask(port, method, path, body)[0]}"
            except (OSError, http.client.HTTPException) as error:
                key = f"{method} {type(error).__name__}"
            with lock:
                statuses[key] = statuses.get(key, 0) + 1

    began = time.monotonic()
    clients = [threading.Thread(target=visit, args=(number,)) for number in range(CLIENTS)]
    with Watch(port) as watch:
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    return {"seconds": round(time.monotonic() - began, 1), "answers": statuses, **watch.figures()}


def slow_clients(port: int, seconds: float = 20) -> dict[str, Any]:
    """Hold 50 connections that send one byte a second, half of them within the headers and half within a file."""
    head = f"PUT /files/source?name=a.npy HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000000\r\n"
    clients = []
    for number in range(CLIENTS):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall((head if number % 2 else f"{head}\r\n").encode())
        clients.append(client)
    refused = 0
    with Watch(port) as watch:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for client in list(clients):
                try:
                    client.sendall(b"a")
                except OSError:
                    clients.remove(client)
                    refused += 1
            time.sleep(1)
        status, _ = ask(port, "PUT", "/files/target?name=b.npy", small_npy())
    for client in clients:
        client.close()
    return {"closed_by_server": refused, "status_of_another_upload": status, **watch.figures()}


def small_npy(rows: int = 600) -> bytes:
    """Return a file that can be used."""
    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(1).standard_normal((rows, 24), np.float32))
    return stream.getvalue()


def hostile_bodies(kind: str) -> dict[str, bytes]:
    """Return bodies that are not what the extension says, or say what is not true."""
    rng = np.random.default_rng(2)
    bodies = {"empty": b"", "random": rng.bytes(50_000), "zeros": bytes(50_000), "text": b'{"a": [1, 2' * 500}
    if kind.endswith("gz"):
        bodies = {name: gzip.compress(body) for name, body in bodies.items()} | {"not gzip": b"x" * 1000}
        bodies["truncated"] = gzip.compress(rng.bytes(50_000))[:20_000]
        bodies["bomb"] = gzip.compress(bytes(200 * 2**20))
    if kind == "npy":
        whole = small_npy()
        pickled = io.BytesIO()
        np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000000), }"
        lie = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        bodies |= {"truncated": whole[:-7], "pickle": pickled.getvalue(), "false header": lie}
    if kind == "npz":
        stream = io.BytesIO()
        np.savez_compressed(stream, vectors=np.zeros((500_000, 512), np.float32))
        bodies |= {"bomb": stream.getvalue(), "truncated": stream.getvalue()[:500]}
    if kind in ("fbin", "u8bin", "i8bin"):
        bodies["false header"] = (2**32 - 1).to_bytes(4, "little") * 2 + b"x" * 100
    if kind == "safetensors":
        bodies["false header"] = (2**62).to_bytes(8, "little") + b"{}"
    if kind == "parquet":
        stream = io.BytesIO()
        pq.write_table(pa.table({"vector": [[1.0, 2.0]] * 1000}), stream)
        whole = bytearray(stream.getvalue())
        whole[50:900] = rng.bytes(850)
        bodies |= {"damaged pages": bytes(whole), "truncated": stream.getvalue()[:-100]}
    if kind == "jsonl":
        bodies |= {
            "utf-16": '{"vector": [1, 2]}\n'.encode("utf-16") * 10,
            "latin-1": '{"id": "\xe9", "vector": [1, 2]}\n'.encode("latin-1") * 10,
            "deep": b'{"vector": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
            "huge numbers": b'{"vector": [1e999, 1]}\n' * 5,
            "long integer": b'{"vector": [' + b"9" * 100_000 + b", 1]}\n",
        }
    if kind == "csv":
        bodies["latin-1"] = "id,a,b\n\xe9,1,2\n".encode("latin-1")
    return bodies


def hostile_files(port: int) -> dict[str, Any]:
    """Upload damaged files of every format; every answer must be a sentence, and none may be accepted."""
    statuses: dict[str, int] = {}
    bad = []
    names = ["\U0001f600" * 80 + ".npy", "\ud83d.npy", "a" * 5_000 + ".npy", "..", "....", "\0", "%", "a/../../b.npy"]
    with Watch(port) as watch:
        for kind in DAMAGED:
            for case, body in hostile_bodies(kind).items():
                status, text = ask(port, "PUT", f"/files/source?name=a.{kind}", body)
                statuses[str(status)] = statuses.get(str(status), 0) + 1
                if status < 400 or status >= 500 or not is_sentence(text):
                    bad.append({"file": f"{case}.{kind}", "status": status, "answer": text[:160]})
        for name in names:
            encoded = quote(name, errors="surrogatepass")
            status, text = ask(port, "PUT", f"/files/source?name={encoded}", small_npy())
            statuses[str(status)] = statuses.get(str(status), 0) + 1
            if status >= 500 or (status >= 400 and not is_sentence(text)):
                bad.append({"name": ascii(name[:20]), "status": status, "answer": text[:160]})
    return {"answers": statuses, "not_as_needed": bad, **watch.figures()}


def is_sentence(text: str) -> bool:
    """Return whether an answer is JSON with an error in words."""
    try:
        return len(json.loads(text)["error"].split()) > 3
    except (ValueError, KeyError, TypeError):
        return False


def raw(port: int, request: str, body: bytes = b"") -> str:
    """Return the first line of the answer to bytes as they are."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        try:
            client.sendall(request.replace("PORT", str(port)).encode("latin-1") + body)
            return client.recv(4096).split(b"\r\n", 1)[0].decode("latin-1")
        except OSError as error:
            return type(error).__name__


def tricks(port: int) -> dict[str, Any]:
    """Send what a page of another site, or a client that lies about lengths, could send."""
    own = "Host: 127.0.0.1:PORT\r\n"
    put = "PUT /files/source?name=a.npy HTTP/1.1\r\n"
    chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
    return {
        "rebound host": raw(port, "GET /state HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        "rebound host with the port": raw(port, "GET /state HTTP/1.1\r\nHost: evil.example:PORT\r\n\r\n"),
        "no host": raw(port, "GET /state HTTP/1.0\r\n\r\n"),
        "two hosts": raw(port, f"GET /state HTTP/1.1\r\n{own}Host: evil.example\r\n\r\n"),
        "absolute target": raw(port, "GET http://evil.example/state HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        "other origin": raw(port, f"POST /fit HTTP/1.1\r\n{own}Origin: http://evil.example\r\n\r\n"),
        "null origin": raw(port, f"POST /fit HTTP/1.1\r\n{own}Origin: null\r\n\r\n"),
        "origin by name": raw(port, f"POST /fit HTTP/1.1\r\n{own}Origin: http://127.0.0.1.evil.example:PORT\r\n\r\n"),
        "cross-site image": raw(port, f"GET /report HTTP/1.1\r\n{own}Sec-Fetch-Site: cross-site\r\n\r\n"),
        "path traversal": raw(port, f"GET /../../etc/passwd HTTP/1.1\r\n{own}\r\n"),
        "encoded side": raw(port, f"PUT /files/..%2f..%2fetc?name=a.npy HTTP/1.1\r\n{own}Content-Length: 0\r\n\r\n"),
        "length too large": raw(port, f"{put}{own}Content-Length: 99999999999999\r\n\r\n", b"x"),
        "length negative": raw(port, f"{put}{own}Content-Length: -1\r\n\r\n"),
        "chunked without end": raw(port, f"{put}{own}Transfer-Encoding: chunked\r\n\r\n", chunk * 3),
        "length and chunked": raw(
            port, f"{put}{own}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"
        ),
        "websocket": raw(
            port,
            f"GET /state HTTP/1.1\r\n{own}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: http://evil.example\r\n\r\n",
        ),
    }


def main() -> None:
    """Run the cases one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=300, help="size of the large files")
    parser.add_argument("--label", default="after", help="which version of the page this is")
    parser.add_argument("--cases", nargs="*", help="run these cases only")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serve-load.jsonl"))
    parser.add_argument("--watch", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch is not None:
        watch(arguments.watch)
        return
    plain: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {
        "idle": (idle, 64),
        "50 clients": (many_clients, 64),
        "slow clients": (slow_clients, 64),
        "hostile files": (hostile_files, 64),
        "tricks": (tricks, 2),
    }
    with tempfile.TemporaryDirectory() as made, arguments.out.open("a") as stream:
        for case in (*(f"large {kind}" for kind in FORMATS), *plain):
            if arguments.cases and case not in arguments.cases:
                continue
            if case in plain:
                run, max_mib = plain[case]
                with serving(max_mib) as port:
                    facts = run(port)
            else:
                path = large_file(Path(made), case.removeprefix("large "), arguments.mib)
                with serving() as port:
                    facts = upload(port, path)
                path.unlink()
            load = round(os.getloadavg()[0], 1)
            record = {"label": arguments.label, "case": case, "cpus": os.cpu_count(), "load": load, **facts}
            stream.write(json.dumps(record) + "\n")
            stream.flush()


if __name__ == "__main__":
    main()
