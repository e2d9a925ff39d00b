"""Stock sentence-transformers modules, written as files; neither torch nor sentence-transformers is imported."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from interlingua._encoder_spaces import PLAIN_TEXTS, check_encoder
from interlingua.core.arguments import check_flag, check_path
from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError, InputWarning
from interlingua.core.maps import AffineMap
from interlingua.core.model_card import escape_markdown
from interlingua.core.storage import save_tensors
from interlingua.core.translator import Translator
from interlingua.encoders import sentence_encoder, with_task
from interlingua.export._parts import Folded, direction, fold, new_folder, provenance

# These names have been importable since version 2 and still are in 6.
_TYPE = "sentence_transformers.models.{}"
_SETTINGS = "config_sentence_transformers.json"
_CALIBRATION = "score_calibration.json"
# What loading or running a model raises if a package or a file is missing, or if it needs code of its own.
_NOT_LOADED = (ImportError, OSError, ValueError, RuntimeError, LookupError, AttributeError, TypeError)
_ROOT_ONLY = {"modules.json", _SETTINGS, _CALIBRATION, "README.md", ".gitattributes"}


def to_sentence_transformers(
    translator: Translator,
    path: str | Path,
    *,
    encoder: str | Path | None = None,
    inverse: bool = False,
    allow_foreign: bool = False,
) -> Path:
    """Write one direction as ``Normalize``, ``Dense``, ``Normalize`` that ``SentenceTransformer(path)`` loads.

    If the translator has a calibration, ``score_calibration.json`` beside the modules converts scores of the translated
    vectors, as the README of the folder shows.

    With an encoder in front the result takes texts and gives vectors of the other model. Without, it takes
    ``{"sentence_embedding": vectors}`` and translates them in that dict. The folder contains no remote code.

    If sentence-transformers is installed, the encoder embeds 100 plain English texts, and their vectors are compared
    with statistics of the fitted ones, as `Translator.translate` compares its rows.

    Args:
        translator: a linear one.
        path: the folder to write; it must not exist.
        encoder: a sentence-transformers folder of the model that made the vectors; it is copied, never changed.
        inverse: export the direction from target to source.
        allow_foreign: do not compare the encoder with the space that the translator was fitted on.

    Returns:
        The path.

    Raises:
        SpaceMismatchError: the encoder is not the model that made the vectors.
        InputError: a network, which these modules cannot hold exactly; or an encoder of another kind or width.
        OutputExistsError: the folder exists.

    Warns:
        InputWarning: the encoder cannot be loaded, so nothing was compared.
        SpaceMismatchWarning: the encoder may be another model.
    """
    path, folded = check_path(path), _folded(translator, inverse=inverse)
    check_flag(allow_foreign, "allow_foreign")
    before = _Encoder(encoder) if encoder is not None else None
    if before is not None:
        before.check_width(folded.weight.shape[1])
    with new_folder(path) as folder:
        if before is not None and not allow_foreign:
            before.check_space(translator, "target" if inverse else "source")
        modules = before.copy_to(folder) if before is not None else []
        for kind, tensor, bias in _steps(folded):
            name = f"{len(modules)}_{kind}"
            _write_module(folder / name, tensor, bias)
            modules.append({"idx": len(modules), "name": str(len(modules)), "path": name, "type": _TYPE.format(kind)})
        _write(folder / "modules.json", modules)
        if before is None:
            _write(folder / _SETTINGS, {"similarity_fn_name": "cosine"})
        _write_about(folder, translator, before is not None, inverse=inverse)
    return path


def to_query_bridge(
    translator: Translator,
    path: str | Path,
    *,
    queries: str | Path,
    documents: str | Path,
    inverse: bool = False,
    allow_foreign: bool = False,
) -> Path:
    """Write a ``Router`` that encodes queries with one model and documents with another, in the documents' space.

    ``encode_query`` runs the query encoder and the translator, ``encode_document`` the old encoder alone: an index
    of the old model is searched with queries of the new one, and grows with documents of the old one. Scores are
    converted as by `to_sentence_transformers`.

    Args:
        translator: a linear one, from the space of the query encoder to that of the documents'.
        path: the folder to write; it must not exist.
        queries: sentence-transformers folder of the query encoder; it is copied.
        documents: sentence-transformers folder of the document encoder; it is copied.
        inverse: the translator's target is the query encoder.
        allow_foreign: do not compare the encoders with the spaces of the translator.

    Returns:
        The path.

    Raises:
        SpaceMismatchError: as `to_sentence_transformers`, for either encoder.
        InputError: the same.
        OutputExistsError: the folder exists.

    Warns:
        InputWarning: as `to_sentence_transformers`.
        SpaceMismatchWarning: the same.
    """
    path, folded = check_path(path), _folded(translator, inverse=inverse)
    check_flag(allow_foreign, "allow_foreign")
    query_encoder, document_encoder = _Encoder(queries), _Encoder(documents)
    query_encoder.check_width(folded.weight.shape[1])
    document_encoder.check_width(folded.weight.shape[0])
    with new_folder(path) as folder:
        if not allow_foreign:
            query_side, document_side = ("target", "source") if inverse else ("source", "target")
            query_encoder.check_space(translator, query_side)
            document_encoder.check_space(translator, document_side)
        types: dict[str, str] = {}
        structure: dict[str, list[str]] = {"query": [], "document": []}
        for route, encoder in (("query", query_encoder), ("document", document_encoder)):
            for module in encoder.modules:
                name = f"{route}_{len(structure[route])}_{module['type'].rpartition('.')[2]}"
                encoder.copy_module(module, folder / name)
                types[name] = module["type"]
                structure[route].append(name)
        for kind, tensor, bias in _steps(folded):
            name = f"query_{len(structure['query'])}_{kind}"
            _write_module(folder / name, tensor, bias)
            types[name] = _TYPE.format(kind)
            structure["query"].append(name)
        parameters = {"default_route": "query", "allow_empty_key": True}
        _write(folder / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})
        _write(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": _TYPE.format("Router")}])
        prompts = {"query": query_encoder.prompt("query"), "document": document_encoder.prompt("document")}
        _write(folder / _SETTINGS, {"prompts": prompts, "similarity_fn_name": "cosine"})
        _write_about(folder, translator, True, inverse=inverse)
    return path


class _Encoder:
    """A saved sentence-transformers model as files, which are copied without being loaded."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = check_path(folder, "the encoder's folder")
        if not (self.folder / "modules.json").is_file():
            raise InputError(
                f"{folder} is not a sentence-transformers folder: modules.json is needed. "
                "Write one with SentenceTransformer(name).save(folder)."
            )
        try:
            self.modules: list[dict[str, Any]] = sorted(_read(self.folder / "modules.json"), key=lambda m: m["idx"])
            inside = [self._path(module) for module in self.modules]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{folder} has a modules.json that cannot be read ({error}).") from error
        if not all(path.resolve().is_relative_to(self.folder.resolve()) for path in inside):
            raise InputError(f"{folder} has a modules.json that points outside its folder; it is not copied.")

    def check_width(self, d: int) -> None:
        """Refuse an encoder whose configuration or table of vectors has another width."""
        for module in reversed(self.modules):
            width = self._width(module)
            if width is not None:
                if width != d:
                    raise InputError(
                        f"{self.folder} gives vectors of width {width} and width {d} is needed. "
                        "Is this another model, or the wrong direction?"
                    )
                return

    def check_space(self, translator: Translator, side: str) -> None:
        """Refuse the model of another space, if it can be loaded here.

        Raises:
            SpaceMismatchError: it is not the model of that side.

        Warns:
            InputWarning: it cannot be loaded, or cannot embed texts.
            SpaceMismatchWarning: it may be another model.
        """
        title = f"The encoder {self.folder}"
        try:
            encode = sentence_encoder(str(self.folder))
            plain = encode(list(PLAIN_TEXTS))
        except _NOT_LOADED as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            warnings.warn(
                f"{title} was not compared with the {side} space of the translator, because it cannot be run here: "
                f"{reason.rstrip('.')}. Check that it is the model of the {side} vectors.",
                InputWarning,
                stacklevel=3,
            )
            return
        # The fitted vectors may have been made with the prompt of one of these tasks.
        variants = [with_task(encode, task) for task in ("query", "document")]
        check_encoder(encode, translator, side, title=title, variants=variants, vectors=plain, stacklevel=4)

    def _width(self, module: Mapping[str, Any]) -> int | None:
        """Return the width of what a module gives, or None where its files do not say it."""
        config = self._path(module) / "config.json"
        known = _read(config) if config.is_file() else {}
        for key in ("out_features", "word_embedding_dimension", "embedding_dimension"):
            if isinstance(known, dict) and key in known:
                return int(known[key])
        weights = self._path(module) / "model.safetensors"
        if str(module["type"]).rpartition(".")[2] != "StaticEmbedding" or not weights.is_file():
            return None
        from safetensors import safe_open

        # Its configuration does not name the width: the module is a table with a row for each token.
        with safe_open(weights, "np") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
        return next((int(shape[1]) for shape in shapes if len(shape) == 2), None)  # noqa: PLR2004

    def prompt(self, task: str) -> str:
        """Return the prompt that the model puts before a text of this task."""
        path = self.folder / _SETTINGS
        prompts = (_read(path) if path.is_file() else {}).get("prompts") or {}
        return str(prompts.get(task) or "")

    def copy_to(self, destination: Path) -> list[dict[str, Any]]:
        """Copy everything and return the modules."""
        shutil.copytree(self.folder, destination, dirs_exist_ok=True)
        return list(self.modules)

    def copy_module(self, module: Mapping[str, Any], destination: Path) -> None:
        """Copy one module into a folder of its own; the first may lie in the model's own folder."""
        path = self._path(module)
        if not path.is_dir():
            destination.mkdir()  # a Normalize without settings leaves no folder behind
        elif module["path"]:
            shutil.copytree(path, destination)
        else:
            others = {Path(other["path"]).parts[0] for other in self.modules if other["path"]}
            shutil.copytree(path, destination, ignore=lambda top, names: self._skipped(Path(top), names, others))

    def _skipped(self, top: Path, names: Iterable[str], others: set[str]) -> set[str]:
        return {name for name in names if top == self.folder and name in others | _ROOT_ONLY}

    def _path(self, module: Mapping[str, Any]) -> Path:
        return self.folder / str(module["path"])


def _folded(translator: Translator, *, inverse: bool) -> Folded:
    mapping = direction(translator, inverse=inverse)
    if not isinstance(mapping, AffineMap):
        raise InputError(
            "This translator is a network; Dense and Normalize cannot hold its skips and gates exactly, and nothing "
            "inexact is written.",
            "Export it as onnx or as safetensors.",
        )
    return fold(mapping)


def _steps(folded: Folded) -> list[tuple[str, FloatArray | None, FloatArray | None]]:
    """Return the kind, weight and bias of each module."""
    unit: tuple[str, None, None] = ("Normalize", None, None)
    steps: list[tuple[str, FloatArray | None, FloatArray | None]] = [unit] if folded.unit_in else []
    steps.append(("Dense", folded.weight, folded.bias))
    if folded.unit_out:
        steps.append(unit)
        if folded.norm_out != 1:  # a length can only be set by one more product
            d = len(folded.bias)
            steps.append(("Dense", np.eye(d, dtype=np.float32) * np.float32(folded.norm_out), np.zeros(d, np.float32)))
    return steps


def _write_module(folder: Path, weight: FloatArray | None, bias: FloatArray | None) -> None:
    folder.mkdir()
    if weight is None or bias is None:
        _write(folder / "config.json", {})
        return
    identity = "torch.nn.modules.linear.Identity"
    sizes = {"in_features": weight.shape[1], "out_features": weight.shape[0]}
    _write(folder / "config.json", {**sizes, "bias": True, "activation_function": identity})
    file = folder / "model.safetensors"
    save_tensors(file, {"linear.weight": weight, "linear.bias": bias}, {}, name=file)


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _write_about(folder: Path, translator: Translator, takes_texts: bool, *, inverse: bool) -> None:
    """Write the README, and the calibration of scores if there is one."""
    readme = _readme(translator, takes_texts, inverse=inverse)
    if translator.calibration is not None:
        _write(folder / _CALIBRATION, translator.calibration.curves("inverted" if inverse else "translated"))
        facts = provenance(translator, inverse=False)
        source, target = (escape_markdown(facts[end]) for end in ("from", "to"))
        readme += _SCORES.format(source=source, target=target)
    (folder / "README.md").write_text(readme, "utf-8")


_SCORES = f"""
Cosines of translated vectors with vectors of the model itself are on a scale of their own. To use thresholds, convert
them to the scale of {{target}} (`"target"` in the file, in both directions) or to that of {{source}} (`"source"`):

```python
import json, numpy as np
curves = json.load(open("this-folder/{_CALIBRATION}"))
on_the_scale_of_the_target = np.interp(scores, curves["scores"], curves["target"])
on_the_scale_of_the_source = np.interp(scores, curves["scores"], curves["source"])
```
"""


def _readme(translator: Translator, takes_texts: bool, *, inverse: bool) -> str:
    facts = provenance(translator, inverse=inverse)
    origin, destination = (escape_markdown(facts[end]) for end in ("from", "to"))
    use = (
        'vectors = SentenceTransformer("this-folder").encode(["a text"])'
        if takes_texts
        else 'translated = SentenceTransformer("this-folder")({"sentence_embedding": vectors})["sentence_embedding"]'
    )
    return f"""---
library_name: sentence-transformers
tags: [sentence-transformers, embedding-translation]
---
# {origin} to {destination}

```python
from sentence_transformers import SentenceTransformer
{use}
```

Translates vectors of {origin} into the space of {destination}, with stock modules. Fitted by interlingua, method
`{facts["method"]}`; verdict from label-free evidence: **{facts["verdict"]}**. Translator `{facts["translator"]}`.
These modules do not check whether vectors come from the model that was fitted.
"""
