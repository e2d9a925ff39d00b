"""Translators: vectors of one fitted space as vectors of another, in both directions; saved as a folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core import summaries, weights
from interlingua.core.arguments import check_flag, check_path, check_text
from interlingua.core.arrays import FloatArray, as_array, check_matrix, row_blocks
from interlingua.core.calibration import MIN_ROWS, ScoreCalibration, check_and_calibrate, kind_named
from interlingua.core.errors import InputError
from interlingua.core.hub import download, upload
from interlingua.core.maps import VectorMap
from interlingua.core.model_card import model_card
from interlingua.core.networks import Network, NetworkMap
from interlingua.core.profiles import SpaceProfile, check_not_foreign
from interlingua.core.storage import CARD, FORMAT, README, check_not_edited, read_folder, short_digest, write_folder

__all__ = ["NeuralTranslator", "Translator", "load", "translator_of"]


class Translator:
    """Translates vectors of the source space into the target space, and back.

    Args:
        forward: map from source to target.
        backward: map from target to source.
        profiles: statistics of source and target rows, to recognize vectors of other models.
        card: provenance: spaces, verdict, method, seed, settings, versions.
        calibration: the scales of scores, for `calibrate`; None if the fit measured none.
    """

    def __init__(
        self,
        forward: VectorMap,
        backward: VectorMap,
        profiles: tuple[SpaceProfile, SpaceProfile],
        card: Mapping[str, Any],
        calibration: ScoreCalibration | None = None,
    ) -> None:
        self.forward = forward
        self.backward = backward
        self.profiles = profiles
        self.card = dict(card)
        self.calibration = calibration

    @property
    def d_source(self) -> int:
        """Width of source vectors."""
        return self.forward.d_in

    @property
    def d_target(self) -> int:
        """Width of target vectors."""
        return self.forward.d_out

    def translate(self, x: Any, *, allow_foreign: bool = False) -> npt.NDArray[Any]:
        """Return source rows [n, d_source] as target rows [n, d_target].

        A single vector [d_source] gives a single vector. float16, float32 and float64 keep their dtype, integers give
        float32. Torch tensors are read as NumPy arrays. Rows do not depend on each other.

        The rows, or 256 of them, are first compared with statistics of the fitted rows. From 50 different rows on,
        vectors of another model and most kinds of damage are noticed; fewer only in spaces where one row can tell.

        Args:
            x: the rows.
            allow_foreign: translate them without that comparison.

        Raises:
            SpaceMismatchError: the rows cannot be of the source space.
            InputError: another width, NaN, infinity or a zero row.

        Warns:
            SpaceMismatchWarning: the rows may be of another space, or of unusual content.
        """
        profiles = None if check_flag(allow_foreign, "allow_foreign") else self.profiles
        return _apply(x, self.forward, (self.d_source, self.d_target), "source", profiles)

    def invert(self, y: Any, *, allow_foreign: bool = False) -> npt.NDArray[Any]:
        """Return target rows [n, d_target] as source rows [n, d_source]; otherwise as :meth:`translate`."""
        profiles = None if check_flag(allow_foreign, "allow_foreign") else self.profiles[::-1]
        return _apply(y, self.backward, (self.d_target, self.d_source), "target", profiles)

    def check_space(self, rows: Any, *, inverse: bool = False) -> None:
        """Compare rows [n, d] with the source space, or with the target space, as :meth:`translate` does.

        Args:
            rows: of the width of that space.
            inverse: compare with the target space, as :meth:`invert` does.

        Raises:
            SpaceMismatchError: the rows cannot be of that space.
            InputError: as :meth:`translate`.

        Warns:
            SpaceMismatchWarning: as :meth:`translate`.
        """
        name, width = ("target", self.d_target) if inverse else ("source", self.d_source)
        profiles = self.profiles[::-1] if check_flag(inverse, "inverse") else self.profiles
        check_not_foreign(check_matrix(rows, f"{name} vectors", width=width), profiles, name, stacklevel=3)

    def calibrate(self, scores: Any, kind: str = "translated", scale: str = "target") -> npt.NDArray[np.float64]:
        """Return cosine scores on the scale of another model's scores, so that a threshold keeps its meaning.

        Scores are matched by their quantiles, which the fit or :meth:`fit_calibration` has measured. Their order stays.

        Args:
            scores: cosines of any shape.
            kind: what they are cosines of. ``"translated"``: a translated vector and one of the target model, as in a
                search of a migrated collection. ``"inverted"``: an inverted vector and one of the source model, as in a
                search of the old collection with queries of the new model. ``"both-translated"`` and
                ``"both-inverted"``: two vectors of which both are, as in a search for copies in a migrated collection.
                ``"source"`` and ``"target"``, or the name of a space: two vectors of that model.
            scale: the kind of scores to convert to, usually ``"target"`` or ``"source"``.

        Raises:
            InputError: the translator has no calibration, or another kind, or scores that are not finite.

        Example:
            ::

                hits = translator.calibrate(scores) >= 0.62  # a threshold of the new model
                hits = translator.calibrate(scores, scale="source") >= 0.7  # a threshold of the old model
                limit = translator.calibrate(0.7, "source", "target")  # the threshold of the new model for it
        """
        if self.calibration is None:
            raise InputError(
                "This translator has no calibration of scores; a fit adds one from 1,000 rows a side on. Add it with "
                f"fit_calibration(source, target) and {MIN_ROWS} or more rows a side that the fit has not seen."
            )
        return self.calibration.convert(scores, kind_named(kind, self.card), kind_named(scale, self.card))

    def fit_calibration(
        self,
        source: Any,
        target: Any,
        *,
        queries: tuple[Any, Any] = (None, None),
        paired: bool = False,
        translated: bool = False,
        allow_foreign: bool = False,
    ) -> Translator:
        """Return the same translator with the scales of scores measured on these rows.

        Args:
            source: [n, d_source], at least 200 different rows; the first 2,048 are used. The fit must not have seen
                them, because it moves translations toward the rows that it reads.
            target: [m, d_target], other texts of the same kind, which the fit has not seen either.
            queries: vectors of queries by the source model and by the target model, which need not be of the same
                texts; None for a model without. Scores of queries with documents differ from those among documents.
            paired: row i of both sides is the same text.
            translated: ``source`` [n, d_target] holds translations already, such as those of a migrated collection. How
                scores of the source model correspond to those of the target model stays as it was measured before.
            allow_foreign: do not compare the rows with the spaces of the translator.

        Raises:
            SpaceMismatchError: the rows cannot be of these spaces.
            InputError: too few different rows, pairs of different numbers of rows, or translated rows for a translator
                without a calibration.
        """
        if not check_flag(allow_foreign, "allow_foreign"):
            if not check_flag(translated, "translated"):
                self.check_space(source)
            self.check_space(target, inverse=True)
        choices: Any = {"queries": queries, "paired": paired, "translated": translated, "known": self.calibration}
        calibration = check_and_calibrate((self.forward, self.backward), source, target, **choices)
        return type(self)(self.forward, self.backward, self.profiles, self.card, calibration)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the folder ``path`` with weights, card and model card.

        At every moment the folder holds the previous translator or this one, whole, and never a mixture. Files of other
        names are left alone. A symbolic link to a folder stays one.

        Args:
            path: the folder; missing parents are made.
            overwrite: whether a translator in ``path`` is replaced.

        Raises:
            OutputExistsError: ``path`` exists and ``overwrite`` is not set.
            InputError: ``path`` exists and does not hold a translator, or JSON has no form for a value in the card.
        """
        folder = check_path(path)
        card = {**self.card, "format": FORMAT, **self._map_card()}
        tensors = self._tensors()
        if self.calibration is not None:
            card["calibration"] = weights.calibration_card(self.calibration)
            tensors |= weights.calibration_tensors(self.calibration)
        write_folder(folder, tensors, card, overwrite=check_flag(overwrite, "overwrite"))
        return folder

    @classmethod
    def load(cls, path: str | Path) -> Translator:
        """Read a translator from the folder that :meth:`save` wrote. Nothing in it is ever executed.

        Raises:
            InputError: the folder, a file or a tensor is missing, or the format is newer than this version reads.
        """
        card, tensors, edited = read_folder(folder := check_path(path))
        try:
            if card.pop("format") != FORMAT:
                raise weights.OtherFormatError
            forward, backward = weights.restore_maps(card.pop("kind"), card.pop("maps"), tensors)
            profiles = weights.restore_profiles(tensors, forward, backward)
            calibration = weights.restore_calibration(card.pop("calibration", None), tensors)
            check_not_edited(edited)
        except weights.OtherFormatError as error:
            message = f"{folder} has another format than {FORMAT}; a newer interlingua wrote it. Upgrade."
            raise InputError(message) from error
        except (ArithmeticError, LookupError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{folder} is damaged ({error}); fit again or restore it from a copy.") from error
        return translator_of(forward, backward, profiles, card, calibration)

    def save_pretrained(self, path: str | Path) -> Path:
        """Write the folder as :meth:`save` does and replace a translator in it, as tools of the Hub expect."""
        return self.save(path, overwrite=True)

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> Translator:
        """Read a translator from a folder, or from the Hugging Face Hub (extra ``hub``).

        Args:
            name: a folder, or ``owner/name`` on the Hub.
            options: ``revision``, ``token``, ``cache_dir``, ``local_files_only``; pin a revision where it matters.

        Raises:
            InputError: as :meth:`load`, or it cannot be fetched.
            MissingExtraError: the extra ``hub`` is not installed.
        """
        folder = check_path(name, "name")
        return cls.load(folder if folder.is_dir() else download(str(name), **options))

    def push_to_hub(self, name: str, **options: Any) -> str:
        """Upload weights, card and model card to ``owner/name`` on the Hugging Face Hub (extra ``hub``).

        Args:
            name: the repository; created if it does not exist.
            options: ``private``, ``token``, ``revision``, ``message``.

        Returns:
            The address of the commit.

        Raises:
            InputError: not a repository name, or no permission to write there.
            OSError: the Hub cannot be reached.
            MissingExtraError: the extra ``hub`` is not installed.
        """
        check_text(name, "name")
        with tempfile.TemporaryDirectory() as parent:
            folder = self.save(Path(parent) / "translator")
            card = json.loads((folder / CARD).read_text("utf-8"))
            (folder / README).write_text(model_card(card, name=name), "utf-8")
            return upload(folder, name, **options)

    def fingerprint(self) -> str:
        """Return 16 hex digits that identify both maps and profiles, as they would be saved."""
        return short_digest(json.dumps(self._map_card(), sort_keys=True), self._tensors())

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        return self._map_tensors() | weights.profile_tensors(self.profiles)

    def _map_tensors(self) -> dict[str, npt.NDArray[Any]]:
        return weights.affine_tensors(self.forward, self.backward)

    def _map_card(self) -> dict[str, Any]:
        return {"kind": weights.AFFINE, "maps": weights.affine_settings(self.forward, self.backward)}

    def __repr__(self) -> str:
        """Return both widths and the verdict."""
        verdict = self.card.get("verdict")
        status = verdict.get("status", "no verdict") if isinstance(verdict, Mapping) else "no verdict"
        return f"{type(self).__name__}({self.d_source} -> {self.d_target}, {status})"

    def _repr_html_(self) -> str:
        try:
            return summaries.card_html(type(self).__name__, self.card)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):  # a card that was written by hand
            return f"<div>{escape(repr(self))}</div>"


class NeuralTranslator(Translator):
    """A translator through a network: every direction between its named spaces, and the latent space they share.

    ``translate`` and ``invert`` go between source and target; the network may have more spaces than these two.
    """

    @property
    def network(self) -> Network:
        """The network behind both directions."""
        if not isinstance(self.forward, NetworkMap):
            raise InputError(
                f"The forward map is of type {type(self.forward).__name__}; a NetworkMap is needed. Use Translator."
            )
        return self.forward.network

    @property
    def ends(self) -> tuple[str, str]:
        """The names of source and target."""
        forward = self.forward
        return (forward.source, forward.target) if isinstance(forward, NetworkMap) else ("source", "target")

    @property
    def spaces(self) -> tuple[str, ...]:
        """The names of all spaces."""
        return self.network.names

    def between(self, x: Any, source: str, target: str, *, allow_foreign: bool = False) -> npt.NDArray[Any]:
        """Return rows [n, d] of one named space as rows of another, or of itself; otherwise as :meth:`translate`.

        Raises:
            InputError: no such space, another width, NaN, infinity or a zero row.
        """
        widths = self._width(source), self._width(target)
        return _apply(
            x,
            lambda rows: self.network.translate(rows, source, target),
            widths,
            source,
            None if check_flag(allow_foreign, "allow_foreign") else self._own_profiles(source),
        )

    def encode(self, x: Any, space: str, *, allow_foreign: bool = False) -> npt.NDArray[Any]:
        """Return latents [n, latent] of rows [n, d] of a named space; otherwise as :meth:`translate`.

        Latents of the same text are similar, whichever space its vector is from.

        Raises:
            InputError: as :meth:`between`.
        """
        widths = self._width(space), self.network.latent
        profiles = None if check_flag(allow_foreign, "allow_foreign") else self._own_profiles(space)
        return _apply(x, lambda rows: self.network.encode(rows, space), widths, space, profiles)

    def decode(self, z: Any, space: str) -> npt.NDArray[Any]:
        """Return rows [n, d] of a named space for latents [n, latent], or one vector for one latent.

        Raises:
            InputError: as :meth:`between`.
        """
        widths = self.network.latent, self._width(space)
        return _apply(z, lambda rows: self.network.decode(rows, space), widths, "latent", None)

    def _width(self, space: str) -> int:
        self.network.check_space(space)
        return self.network.widths[space]

    def _own_profiles(self, space: str) -> tuple[SpaceProfile, SpaceProfile] | None:
        """Return the profile of one of the two ends and of the other; a translator has none of its other spaces."""
        ends = dict(zip(self.ends, (self.profiles, self.profiles[::-1]), strict=True))
        return ends.get(space)

    def _map_tensors(self) -> dict[str, npt.NDArray[Any]]:
        return weights.network_tensors(self.network)

    def _map_card(self) -> dict[str, Any]:
        return {"kind": weights.NETWORK, "maps": {"ends": list(self.ends), **self.network.settings()}}


def translator_of(
    forward: VectorMap,
    backward: VectorMap,
    profiles: tuple[SpaceProfile, SpaceProfile],
    card: Mapping[str, Any],
    calibration: ScoreCalibration | None = None,
) -> Translator:
    """Return the translator that goes with the kind of maps; arguments as :class:`Translator` takes them."""
    kind = NeuralTranslator if isinstance(forward, NetworkMap) else Translator
    return kind(forward, backward, profiles, card, calibration)


def load(path: str | Path) -> Translator:
    """Read a saved translator; see :meth:`Translator.load`."""
    return Translator.load(path)


def _apply(
    x: Any,
    function: Callable[[npt.NDArray[Any]], FloatArray],
    widths: tuple[int, int],
    name: str,
    profiles: tuple[SpaceProfile, SpaceProfile] | None,
) -> npt.NDArray[Any]:
    """Apply a function of rows [n, widths[0]] to one vector or to blocks of rows; floats keep their dtype."""
    given = as_array(x, f"{name} vectors")
    rows = check_matrix(given[None] if given.ndim == 1 and given.size else x, f"{name} vectors", width=widths[0])
    if profiles is not None:
        check_not_foreign(rows, profiles, name, stacklevel=4)
    out = np.empty((len(rows), widths[1]), rows.dtype if rows.dtype.kind == "f" else np.float32)
    for block in row_blocks(len(rows)):
        out[block] = function(rows[block])
    return out[0] if given.ndim == 1 else out
