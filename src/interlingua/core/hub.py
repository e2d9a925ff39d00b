"""The Hugging Face Hub: download and upload of translators, and their model card."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlingua.core.arguments import check_text
from interlingua.core.arrays import require
from interlingua.core.errors import InputError

__all__ = ["download", "escape_markdown", "model_card", "upload"]

FILES = ("card.json", "translator.safetensors", "README.md")


def download(name: str, **options: Any) -> Path:
    """Download a translator's three files, and no other file of the repository, into the local cache.

    Args:
        name: ``owner/name``.
        options: ``revision``, ``token``, ``cache_dir``, ``local_files_only`` and so on, as
            ``huggingface_hub.snapshot_download`` takes them.

    Returns:
        The folder.

    Raises:
        InputError: no such repository or revision, no access to it, or an unknown option.
        MissingExtraError: the extra ``hub`` is not installed.
    """
    hub = require("huggingface_hub", "hub")
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(FILES), **options))
    except TypeError as error:
        raise InputError(f"These options are not those of a download: {error}.") from error
    except (hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError, hub.errors.HFValidationError) as error:
        raise InputError(
            f"{name} is neither a local folder nor a Hub repository that can be fetched ({error}). "
            "Give a folder, or owner/name, and a token where it is private."
        ) from error


def upload(
    folder: Path,
    name: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    message: str = "Upload translator",
) -> str:
    """Upload a translator's folder to a repository, which is created if it does not exist.

    Args:
        folder: as `Translator.save` writes it.
        name: ``owner/name``.
        private: whether a new repository is private.
        token: of the Hub; by default the one of ``hf auth login`` or ``HF_TOKEN``.
        revision: the branch.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        InputError: not a repository name, or no permission to write there.
        OSError: the Hub cannot be reached.
        MissingExtraError: the extra ``hub`` is not installed.
    """
    check_text(name, "name")
    hub = require("huggingface_hub", "hub")
    api = hub.HfApi(token=token)
    try:
        api.create_repo(name, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=name, folder_path=folder, revision=revision, commit_message=message, allow_patterns=list(FILES)
        )
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError) as error:
        raise InputError(
            f"{name} cannot be written on the Hub ({error}). Give owner/name, and a token that may write there."
        ) from error
    except Exception as error:
        # The errors of the client's transport; its package is httpx or httpx2, depending on the version of the client.
        if not type(error).__module__.startswith("httpx"):
            raise
        raise OSError(f"The Hub cannot be reached ({error}); nothing was uploaded to {name}.") from error
    return str(done.commit_url)


def model_card(card: Mapping[str, Any], *, name: str = "this-folder") -> str:
    """Return the README of a translator: what it translates, its verdict, an example, and its limits.

    Names and reasons are escaped, so that they appear in Markdown as they were written.

    Args:
        card: the translator's, with ``kind`` and ``maps``.
        name: the folder or repository that the example loads.
    """
    verdict = card.get("verdict") or {}
    source, target = ({"name": side, **_filled(card.get(side))} for side in ("source", "target"))
    names = [escape_markdown(space["name"]) for space in (source, target)]
    reasons = "\n".join(f"- {escape_markdown(reason)}" for reason in verdict.get("reasons", ()))
    rows = "\n".join(
        f"| {item['name'].replace('_', ' ')} | {item['value']:.3g} | {item['null']:.3g} | {item['threshold']:.3g} "
        f"| {'yes' if item['passed'] else 'no'} |"
        for item in verdict.get("evidence", ())
    )
    evidence = f"\n| evidence | value | null | needed | passed |\n|---|--:|--:|--:|---|\n{rows}\n" if rows else ""
    versions = ", ".join(f"{package} {version}" for package, version in sorted(card.get("versions", {}).items()))
    return f"""---
library_name: interlingua
tags: [embedding-translation]
---
# {names[0]} ({source.get("d")}) to {names[1]} ({target.get("d")})

Translates text embeddings of one model into another's space, and back. Fitted by interlingua, method
`{card.get("method")}`, seed {card.get("seed")}, on {source.get("n")} source and {target.get("n")} target rows.

```python
import interlingua as il
translator = il.Translator.from_pretrained({json.dumps(name)})
target_vectors = translator.translate(source_vectors)
```

## Verdict

From label-free evidence: **{verdict.get("status", "none")}** (score {verdict.get("score", 0):.2f}).

{reasons}
{evidence}
## Limits

- A translated vector is an approximation: it keeps what both models share and loses the rest. It is not the same as
  embedding the text with the target model.
- Rankings carry over; thresholds tuned on the target model's cosines do not.
- Vectors of any other model give meaningless results; for most of them a warning is given.

## Provenance

Source `{source.get("fingerprint")}`, target `{target.get("fingerprint")}`, kind `{card.get("kind")}`. {versions}
"""


def escape_markdown(text: Any) -> str:
    """Return a text on one line with the characters escaped that Markdown or HTML would interpret."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", " ".join(str(text).split()))


def _filled(space: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (space or {}).items() if value is not None}
