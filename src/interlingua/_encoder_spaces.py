"""Whether an encoder is the model of a space of a translator, by the vectors that it makes of plain texts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from interlingua.core.arguments import check_choice
from interlingua.core.arrays import SAME_DIRECTION, FloatArray, as_array, direction_variance, usable_rows
from interlingua.core.comparison import MIN_BATCH
from interlingua.core.errors import InputError, SpaceMismatchError, SpaceMismatchWarning
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator

__all__ = ["PLAIN_TEXTS", "check_encoder"]

Encode = Callable[[list[str]], Any]

# An encoder is refused for its spectrum below this share of the limit of a translation, because the fitted
# texts can differ a lot from the plain ones. In 58 spaces of six encoders and eleven corpora, the right encoder has a
# spectrum of at least 0.12, and an unrelated one of at most 0.02, where a translation needs 0.08.
_CLEARLY = 0.5
# Vectors of different texts are almost the same if the variance of their directions is below this share of that of the
# fitted ones, or if they have one direction in any space.
_LEAST_SHARE = 0.02
# Statements, questions, headlines, messages, instructions, and names of products: an encoder that was fitted on any of
# these kinds embeds some of them much like the fitted texts.
PLAIN_TEXTS = (
    "The train to the coast leaves at half past seven every morning.",
    "How long does it take to boil an egg?",
    "Stir the flour into the butter and add the milk slowly.",
    "The central bank raised interest rates by a quarter of a percent.",
    "My phone does not charge anymore, what can I do?",
    "The patient was treated for high blood pressure and discharged after two days.",
    "A new species of frog was discovered in the rain forest.",
    "The home team won the final by three goals to one.",
    "Please send me the signed contract before Friday.",
    "What is the capital of Australia?",
    "The function returns a list of all files in the folder.",
    "Heavy snow closed several roads in the mountains last night.",
    "She painted the kitchen walls in a light shade of green.",
    "The court ruled that the company had broken the agreement.",
    "Who wrote the first novel about a trip to the moon?",
    "Our hotel room was clean, but the street outside was very loud.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "I would like to cancel my order and get my money back.",
    "Ten things that every new gardener should know",
    "The old church was built in the twelfth century.",
    "Install the latest version and restart the computer.",
    "The violin concerto was first played in Vienna.",
    "Can you recommend a good book about the history of trade?",
    "The satellite sends pictures of the ocean back to earth.",
    "He broke his arm when he fell off his bicycle.",
    "Unemployment fell to its lowest level in ten years.",
    "Where can I park near the city hall?",
    "Wash the wool sweater by hand in cold water.",
    "The parliament voted against the new tax on fuel.",
    "Happy birthday! I hope you have a wonderful day.",
    "The river flows through four countries before it reaches the sea.",
    "Is it safe to take this medicine during pregnancy?",
    "The film tells the story of two brothers who run a bakery.",
    "Two people were injured when a bus hit a parked car.",
    "The square root of sixteen is four.",
    "Add a pinch of salt and let the soup simmer for an hour.",
    "Researchers found that sleep improves memory in older adults.",
    "What should I wear to a job interview?",
    "The library is closed on Sundays and public holidays.",
    "The engine makes a strange noise when I turn left.",
    "Wireless headphones with noise cancellation, black",
    "The king was crowned at the age of nine.",
    "Does the warranty cover damage by water?",
    "The bridge will be repaired over the next six months.",
    "A program that converts pictures between many formats",
    "We had a lovely dinner at the small Italian restaurant.",
    "The volcano erupted without any warning in the early morning.",
    "How do I reset my password?",
    "The museum shows masks and tools from the South Pacific.",
    "Shares of the airline dropped after the strike was announced.",
    "The dog slept under the table all afternoon.",
    "Antibiotics do not work against viruses.",
    "The meeting is moved to Tuesday at ten in room four.",
    "Why is the sky blue?",
    "Farmers expect a poor harvest after the dry summer.",
    "The actor thanked his family when he received the award.",
    "Tighten the screws before you put weight on the shelf.",
    "The treaty ended a war that had lasted thirty years.",
    "Which bus goes to the airport?",
    "The server could not be reached because the connection timed out.",
    "A cup of green tea contains less caffeine than coffee.",
    "The children built a castle of sand on the beach.",
    "Police are looking for witnesses of the robbery.",
    "Electric cars need less maintenance than cars with an engine.",
    "What are the symptoms of the flu?",
    "The poem describes a quiet evening in autumn.",
    "The flight was delayed by fog, and we missed our connection.",
    "The school teaches mathematics in two languages.",
    "How many players are on a basketball team?",
    "The oil spill killed thousands of birds along the shore.",
    "Save the document before you close the window.",
    "The rent is due on the first day of each month.",
    "Women were allowed to vote for the first time in 1918.",
    "I cannot believe how good this song is!",
    "Iron rusts when it is exposed to water and air.",
    "Is there a vegetarian option on the menu?",
    "The startup raised money to build robots for hospitals.",
    "The lake is frozen from December until March.",
    "The mayor opened the new swimming pool on Saturday.",
    "How can I learn to play the guitar?",
    "Leather boots for men, brown, size ten",
    "The planet has rings of ice and dust.",
    "The surgeon removed the tumor in an operation of five hours.",
    "The witness could not remember the color of the car.",
    "Translate this sentence into Spanish, please.",
    "The soldiers crossed the border at night.",
    "The price of gold reached a new high on Monday.",
    "A simple library for reading and writing tables",
    "Do not forget to water the plants while we are away.",
    "The champion lost her first match of the season.",
    "When did the first humans arrive in America?",
    "The bread smells wonderful when it comes out of the oven.",
    "The committee will publish its report in the spring.",
    "My bank card was stolen and I need a new one.",
    "The bees visit hundreds of flowers on a single trip.",
    "The theater sold all tickets within an hour.",
    "The data are encrypted before they are sent.",
    "Turn right after the second traffic light.",
    "The old man told his grandchildren a story about the sea.",
    "The vaccine protects most people for several years.",
)


def check_encoder(
    encode: Encode,
    translator: Translator,
    side: str,
    *,
    title: str,
    variants: Sequence[Encode] = (),
    vectors: Any = None,
    stacklevel: int = 2,
) -> None:
    """Refuse an encoder that cannot be the model of a space, by the vectors that it makes of `PLAIN_TEXTS`.

    An encoder passes if the comparison is inconclusive, for example if it is related to the right model.

    Args:
        encode: the encoder.
        translator: between both spaces.
        side: ``"source"`` or ``"target"``, the space that the encoder must be the model of.
        title: what messages call the encoder.
        variants: the same encoder with other prompts, with one of which the fitted vectors may have been made. They run
            only if the encoder itself would be refused. One that is the encoder itself is not run again.
        vectors: what the encoder made of `PLAIN_TEXTS`, if it has run already.
        stacklevel: of the warning, 2 for the caller.

    Raises:
        SpaceMismatchError: the encoder is another model.
        InputError: its vectors have another width than the space.

    Warns:
        SpaceMismatchWarning: the encoder may be another model, or the fit was on content of another kind.
    """
    check_choice(side, "side", ("source", "target"))
    sides = -1 if side == "target" else 1
    width = (translator.d_source, translator.d_target)[::sides][0]
    space, other = translator.profiles[::sides]
    vectors = _usable(encode(list(PLAIN_TEXTS)) if vectors is None else vectors, width, side, title)
    if not len(vectors):
        return
    reason = _reason(space, other, vectors)
    further = (each(list(PLAIN_TEXTS)) for each in variants if each is not encode)
    if reason and all(_reason(space, other, _usable(each, width, side, title)) for each in further):
        raise SpaceMismatchError(
            f"{title} is not the model of the {side} space that this translator was fitted on. {reason}",
            vectors,
            f"Give the encoder that made the {side} vectors of the fit. {{allow_foreign}} goes on nevertheless.",
        )
    if not reason and space.compare(vectors).doubtful:
        warnings.warn(
            f"{title} may not be the model of the {side} space that this translator was fitted on: its vectors of "
            f"{len(vectors)} plain English texts differ much from the fitted ones. Check that it is that model; a fit "
            "on texts of another kind also looks like this.",
            SpaceMismatchWarning,
            stacklevel=stacklevel,
        )


def _usable(vectors: Any, width: int, side: str, title: str) -> FloatArray:
    """Return the usable ones [n, width] of the vectors that an encoder made of the texts.

    Raises:
        InputError: they are no matrix of that width.
    """
    vectors = as_array(vectors, f"the output of {title}")
    if vectors.ndim != 2 or vectors.shape[1] != width:  # noqa: PLR2004
        raise InputError(
            f"{title} gives vectors of shape {list(vectors.shape)} for {len(PLAIN_TEXTS)} texts, and the {side} space "
            f"has width {width}. Is this another model, or the wrong direction?"
        )
    rows = np.asarray(vectors, np.float32)
    # An encoder with a small vocabulary may not know any word of some texts.
    return rows[usable_rows(rows)]


def _reason(space: SpaceProfile, other: SpaceProfile, vectors: FloatArray) -> str:
    """Return sentences that say why vectors of the texts cannot be of a space, or an empty text.

    Only what does not depend on the content of the texts decides. A space that was fitted on texts of one kind, such as
    surgical notes, has none near most plain texts, and its mean is that of its kind.

    Args:
        space: the space that they should be of.
        other: the other space of the translator. A model that is related to both is told by what it resembles more.
        vectors: of the width of the space.
    """
    made = f"Its vectors of {len(vectors)} plain English texts"
    if _are_almost_equal(space, vectors):
        return f"{made} are almost the same, as if it did not read the texts: check the program or the model."
    compared = space.compare(vectors)
    nan = float("nan")
    clear = replace(compared, needed=_CLEARLY * compared.needed, mean=nan, outside=0.0, structure=nan)
    if clear.foreign:
        found = f"{'; '.join(clear.reasons)}. {space.describe(vectors, other)}"
        return f"{made} are not of that space: {found}"
    # That vectors are near the clusters of a space is evidence for it; that they are far from them is none against it.
    has_evidence = len(other.mean) == len(space.mean) and (other.has_axes or bool(len(other.clusters)))
    if not (has_evidence and other.accepts(vectors)):
        return ""
    if not compared.foreign and (not space.has_axes or space.accepts(vectors)):
        return ""
    return f"{made} look like the other space of this translator, and hardly like this one; is the direction wrong?"


def _are_almost_equal(space: SpaceProfile, vectors: FloatArray) -> bool:
    """Return whether vectors of different texts differ by no more than noise."""
    if len(vectors) < MIN_BATCH:
        return False
    fitted = float((space.spread.astype(np.float64) ** 2).sum())
    return direction_variance(vectors) < max(_LEAST_SHARE * fitted, SAME_DIRECTION)
