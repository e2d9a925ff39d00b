from __future__ import annotations

import base64
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from exported import D_SOURCE, linear, neural, rows
from interlingua.cli import main
from interlingua.core.alignment import Evidence, Status, Verdict
from interlingua.core.errors import InputError, MissingExtraError
from interlingua.core.model_card import model_card
from interlingua.core.translator import NeuralTranslator, Translator

SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as one repository needs; the real client speaks to it over HTTP."""

    files: dict[str, bytes]
    made: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            self.made.append(json.loads(body))
            self.reply({"url": "https://huggingface.co/me/bridge"})
        elif path == "/api/validate-yaml":
            self.reply({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self.reply({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        elif "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.reply({"commitUrl": "https://huggingface.co/me/bridge/commit/1", "commitOid": SHA, "success": True})
        else:
            self.reply({}, 404)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        name = path.rpartition("/")[2]
        if not path.startswith(("/api/models/me/bridge", "/me/bridge/")) or not self.files:
            self.reply({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif "/resolve/" in path and name in self.files:
            self.reply(self.files[name], headers={"ETag": f'"{len(self.files[name])}"', "X-Repo-Commit": SHA})
        elif "/tree/" in path:
            tree = [{"type": "file", "path": n, "size": len(f), "oid": "0"} for n, f in self.files.items()]
            self.reply(tree)
        elif path.startswith("/api/models/"):
            siblings = [{"rfilename": n} for n in self.files]
            self.reply({"id": "me/bridge", "sha": SHA, "siblings": siblings, "private": True, "tags": []})
        else:
            self.reply({}, 404, {"X-Error-Code": "EntryNotFound"})

    do_HEAD = do_GET

    def reply(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra hub")
    handler = type("OneHub", (Hub,), {"files": {}, "made": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield handler
    server.shutdown()
    server.server_close()


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_what_is_pushed_comes_back_the_same(hub: type[Hub], tmp_path: Path) -> None:
    for translator in (linear(), neural()):
        url = translator.push_to_hub("me/bridge", token="hf_secret")
        assert "commit" in url
        cache = tmp_path / translator.fingerprint()
        found = Translator.from_pretrained("me/bridge", token="hf_secret", cache_dir=cache)
        assert type(found) is type(translator)
        np.testing.assert_array_equal(found.translate(rows(D_SOURCE)), translator.translate(rows(D_SOURCE)))
    assert set(hub.files) == {"card.json", "translator.safetensors", "README.md"}
    assert 'from_pretrained("me/bridge")' in hub.files["README.md"].decode()
    assert not any(b"hf_secret" in content for content in hub.files.values())


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_only_a_translators_files_are_fetched(hub: type[Hub], tmp_path: Path) -> None:
    linear().push_to_hub("me/bridge", token="x", private=True)
    assert hub.made[-1]["visibility" if "visibility" in hub.made[-1] else "private"] in (True, "private")
    hub.files["evil.pkl"] = b"cos\nsystem"
    Translator.from_pretrained("me/bridge", token="x", cache_dir=tmp_path / "c")
    assert not list((tmp_path / "c").rglob("evil.pkl"))


@pytest.mark.parametrize("name", ["me/missing", "not a name"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_repository_that_does_not_exist_is_an_input_error(hub: type[Hub], tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is neither a local folder nor a Hub repository that can be fetched"):
        Translator.from_pretrained(name, token="x", cache_dir=tmp_path / "c")


def test_a_local_folder_is_saved_and_loaded_without_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    folder = linear().save_pretrained(tmp_path / "translator")
    neural().save_pretrained(folder)  # replaced, as tools of the Hub expect
    assert isinstance(Translator.from_pretrained(folder), NeuralTranslator)
    with pytest.raises(MissingExtraError, match=r"interlingua\[hub\]"):
        Translator.from_pretrained("me/bridge")


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("name", ["not a name", "a/b/c"])
def test_a_repository_that_cannot_be_written_is_an_input_error(hub: type[Hub], name: str) -> None:
    with pytest.raises(InputError, match=f"{name} cannot be written on the Hub .* Give owner/name, and a token"):
        linear().push_to_hub(name, token="hf_secret")
    assert not hub.files


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_an_upload_without_a_connection_is_an_error_in_words(
    hub: type[Hub], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import constants

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # not listening
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(OSError, match="The Hub cannot be reached .*; nothing was uploaded to me/bridge"):
            linear().push_to_hub("me/bridge", token="hf_secret")
        folder = linear().save(tmp_path / "t")
        assert main(["export", str(folder), "--to", "hub", "--out", "me/bridge"]) == 1
    shown = capsys.readouterr().err
    assert "Error: The Hub cannot be reached" in shown
    assert "hf_secret" not in shown


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_an_option_that_the_hub_does_not_know_is_an_input_error(hub: type[Hub], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="A download does not take these options: .*'colour'"):
        Translator.from_pretrained("me/bridge", cache_dir=tmp_path, colour="red")


@pytest.mark.parametrize("name", ["a\n---\nlicense: none\n---", "<b>a</b>", "a | b", "`a` [b](c) *d* _e_ #f ~g $h$ \\"])
def test_names_and_reasons_appear_in_the_card_as_they_were_written(name: str) -> None:
    verdict = {"status": "failed", "score": 0.1, "reasons": [name]}
    lines = model_card({"source": {"name": name, "d": 3}, "verdict": verdict}, name='a"b').splitlines()
    assert lines[:4] == ["---", "library_name: interlingua", "tags: [embedding-translation]", "---"]
    assert lines.count("---") == 2
    title = next(line for line in lines if line.startswith("# "))
    assert re.sub(r"\\(.)", r"\1", title) == f"# {' '.join(name.split())} (3) to target (None)"
    assert not re.search(r"(?<!\\)[`*_\[\]<>|~$]", title)
    assert f"- {title.removeprefix('# ').removesuffix(' (3) to target (None)')}" in lines
    assert 'translator = il.Translator.from_pretrained("a\\"b")' in lines


def test_a_failed_measurement_appears_once_in_the_card() -> None:
    evidence = Evidence("round_trip", 0.125, 0.0, 0.3, False, "Mean cosine of a row and its round trip.")
    verdict = Verdict(Status.FAILED, 0.1, ("Few rows.", str(evidence)), (evidence,))
    card = model_card({"verdict": verdict.to_dict()})
    assert card.count("0.125") == 1
    assert "| round trip | 0.125 | 0 | ≥ 0.3 | no | Mean cosine of a row and its round trip. |" in card
    assert "- Few rows." in card


def test_a_card_without_a_verdict_says_so() -> None:
    assert "**none**" in model_card({"verdict": None})


def test_the_hub_can_read_the_card(tmp_path: Path) -> None:
    cards = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    card = cards.ModelCard.load(linear().save(tmp_path / "translator") / "README.md")
    assert card.data.library_name == "interlingua"
    assert "## Verdict" in card.text
    assert "It was made so." in card.text
