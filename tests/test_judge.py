"""The judge: nothing is sent unasked, controls are mixed in blind, and what it says of anything is taken off."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from interlingua.core.errors import InputError
from interlingua.leakage.inversion import Extraction
from interlingua.leakage.inversion.judge import cached, endpoint, judge

TEXTS = [f"patient {i} has illness number {i * 7} and takes pill {i * 3}" for i in range(40)]
RIGHT = [Extraction(text=f"illness number {i * 7} it seems") for i in range(40)]


def honest(prompt: str) -> str:
    """Says yes where the reconstruction's number stands in the original."""
    original, _, rest = prompt.partition("Reconstructed document:\n")
    words = rest.split("\n")[0].split()
    return f'Yes: "{words[2]}"' if words and f" {words[2]} " in original else "no"


def test_right_reconstructions_leak_and_controls_do_not() -> None:
    found = judge(RIGHT, TEXTS, honest)
    assert found.yes.value > 0.9
    assert found.false_yes.value < 0.2
    assert found.empty_yes == 0
    assert found.leak.value == pytest.approx(
        (found.yes.value - found.false_yes.value) / (1 - found.false_yes.value), abs=1e-6
    )
    assert found.to_dict()["n"] == 40


def test_a_judge_that_says_yes_to_everything_finds_no_leak() -> None:
    found = judge(RIGHT, TEXTS, lambda prompt: "Yes.")
    assert found.yes.value == found.false_yes.value == found.empty_yes == 1
    assert not found.leak.value > 0


def test_a_quote_that_is_not_there_does_not_count() -> None:
    assert judge(RIGHT, TEXTS, lambda prompt: 'yes: "cancer"', prompt="quoted").unanswered == 84
    assert judge(RIGHT, TEXTS, honest, prompt="quoted").yes.value > 0.9
    assert judge(RIGHT, TEXTS, lambda prompt: "As a model, I").unanswered == 84


def test_documents_cannot_fill_the_prompts_places() -> None:
    seen: list[str] = []
    texts = ["the words {reconstruction} and {original}", "another text"]

    def ask(prompt: str) -> str:
        seen.append(prompt)
        return "no"

    judge([Extraction(text="first"), Extraction(text="{original}")], texts, ask)
    assert any("the words {reconstruction} and {original}" in p for p in seen)


def test_order_is_blind_and_the_memory_asks_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return honest(prompt)

    first = judge(RIGHT, TEXTS, cached(ask, tmp_path / "said.jsonl", "m1"))
    count = len(asked)
    again = judge(RIGHT, TEXTS, cached(ask, tmp_path / "said.jsonl", "m1"))
    assert first == again
    assert len(asked) == count
    assert not any("patient" in line for line in (tmp_path / "said.jsonl").read_text().splitlines())
    own = [f"{TEXTS[i]}\n\nReconstructed document:\n{RIGHT[i].text}" for i in range(40)]
    places = [next(k for k, p in enumerate(asked) if pair in p) for pair in own]
    assert places != sorted(places)


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.append({**body, "path": self.path, "key": self.headers.get("Authorization")})
            answer = {"choices": [{"message": {"content": "no"}}]} if body["model"] == "m" else {"error": "no such"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}/v1", bodies
        listener.shutdown()


def test_an_endpoint_is_asked_at_temperature_zero_with_the_key(
    server: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, bodies = server
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert judge(RIGHT[:3], TEXTS[:3], endpoint(url, "m", send=True)).yes.value == 0
    assert {(b["path"], b["temperature"], b["key"]) for b in bodies} == {("/v1/chat/completions", 0, "Bearer secret")}
    with pytest.raises(InputError, match=r"gave no usable answer \(KeyError.* OpenAI-compatible"):
        endpoint(url, "other", send=True)("question")


def test_nothing_is_sent_unasked(server: tuple[str, list[dict[str, Any]]]) -> None:
    with pytest.raises(InputError, match="would be sent original documents .* Pass send=True if their owner"):
        endpoint(server[0], "m")
    with pytest.raises(InputError, match="'file:///etc' is not an http address"):
        endpoint("file:///etc", "m", send=True)
    assert not server[1]


def test_redirects_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    asked: list[tuple[str, str | None]] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(302)
            port = self.server.server_address[1]  # type: ignore[index]
            self.send_header("Location", f"http://127.0.0.1:{port}/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match=r"gave no usable answer \(HTTPError: HTTP Error 302"):
            endpoint(f"http://127.0.0.1:{listener.server_port}/v1", "m", send=True)("question")
        listener.shutdown()
    assert asked == [("/v1/chat/completions", "Bearer secret")]


@pytest.mark.parametrize("send", [True, False])
@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@127.0.0.1/v1",
        "https://user:hunter2@judge.example/v1",
        "https://judge.example/v1?api_key=hunter2",
        "ftp://user:hunter2@judge.example/v1",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(url: str, send: bool) -> None:
    with pytest.raises(InputError, match="holds a password or a key .* set OPENAI_API_KEY to the key") as caught:
        endpoint(url, "m", send=send)
    assert "hunter2" not in str(caught.value)


def test_an_address_that_is_no_text_is_not_repeated() -> None:
    with pytest.raises(InputError, match="url is of type bytes; a string is needed") as caught:
        endpoint(b"http://user:hunter2@127.0.0.1/v1", "m", send=True)  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["judge.example", "192.168.1.5:8000", "[2001:db8::1]", "127.0.0.1.example"])
def test_plain_http_is_for_this_machine_only(host: str) -> None:
    with pytest.raises(InputError, match="would receive the documents and the key in plain text. Use https"):
        endpoint(f"http://{host}/v1", "m", send=True)


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/v1", "http://127.0.0.2/v1", "http://[::1]:8000/v1", "https://judge.example/v1"]
)
def test_https_and_addresses_of_this_machine_are_accepted(url: str) -> None:
    assert callable(endpoint(url, "m", send=True))


@pytest.mark.parametrize("url", ["http://", "https:///v1", "http://[::1/v1", "judge.example"])
def test_an_address_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is not an http address"):
        endpoint(url, "m", send=True)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="There are 3 extractions for 40 texts"):
        judge(RIGHT[:3], TEXTS, honest)
    with pytest.raises(InputError, match="The prompt 'mine' is neither one of paper, quoted nor a string with"):
        judge(RIGHT, TEXTS, honest, prompt="mine")
