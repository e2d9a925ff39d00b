"""The Hugging Face Hub: download and upload of translators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlingua.core.arguments import check_text
from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.core.storage import CARD, README, WEIGHTS

__all__ = ["download", "upload"]

_FILES = (CARD, WEIGHTS, README)


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
        return Path(hub.snapshot_download(name, allow_patterns=list(_FILES), **options))
    except TypeError as error:
        raise InputError(f"A download does not take these options: {error}.") from error
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
            repo_id=name, folder_path=folder, revision=revision, commit_message=message, allow_patterns=list(_FILES)
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
