from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlingua.core.errors import InputError, MissingExtraError
from interlingua.leakage.inversion import Extraction, GuidedDecoder, Keyword, TextDecoder, causal_lm, ngram_model
from interlingua.leakage.inversion.scores import reencoded_cosine, score_texts

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "iris", "jade", "kelp", "lotus")
D = 24


class Encoder:
    """A bag of words, each a direction of its own: whoever finds the words finds the vector."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.directions = np.linalg.qr(rng.standard_normal((D, D)))[0][: len(WORDS)]

    def __call__(self, texts: list[str]) -> np.ndarray[Any, Any]:
        rows = [
            sum((self.directions[WORDS.index(w)] for w in t.split() if w in WORDS), 0.05 * np.ones(D)) for t in texts
        ]
        return np.asarray(rows, np.float32)


@pytest.fixture
def encoder(rng: np.random.Generator) -> Encoder:
    return Encoder(rng)


def documents(rng: np.random.Generator, n: int) -> list[str]:
    """Two words each, in the order of the alphabet."""
    return [" ".join(sorted(rng.choice(WORDS, 2, replace=False))) for _ in range(n)]


def talk(text: str, k: int) -> list[tuple[str, float]]:
    """A language model to which all words are equally likely."""
    return [(f" {word}", -np.log(len(WORDS))) for word in WORDS][:k]


class Claims:
    """A keyword decoder that asserts the same of everything."""

    name = "claims"

    def __init__(self, *words: Keyword) -> None:
        self.words = words

    def invert(self, vectors: Any, /, *, mean: Any = None) -> list[Extraction]:
        return [Extraction(keywords=self.words) for _ in vectors]


def guided(encoder: Encoder, **changes: Any) -> GuidedDecoder:
    given = {"beams": 4, "branch": 12, "steps": 3, **changes}
    return GuidedDecoder(talk, encoder, np.zeros(D, np.float32), **given)


def test_guided_decoding_finds_the_words_of_a_vector(encoder: Encoder, rng: np.random.Generator) -> None:
    texts = documents(rng, 20)
    vectors = encoder(texts)
    found = guided(encoder).invert(vectors)
    assert [set((e.text or "").split()) for e in found] == [set(text.split()) for text in texts]
    assert min(e.cosine or 0 for e in found) > 0.99
    figures = reencoded_cosine(found, texts, vectors, encoder)
    assert float(figures.value) > 0.95
    assert figures.control is not None
    assert float(figures.control) < 0.4


def test_asserted_words_begin_the_prompt_and_stay_the_only_claims(encoder: Encoder) -> None:
    heard: list[str] = []

    def listen(text: str, k: int) -> list[tuple[str, float]]:
        heard.append(text)
        return talk(text, k)

    claims = Claims(Keyword("fjord", 0.9), Keyword("grove", 0.3))
    decoder = GuidedDecoder(listen, encoder, np.zeros(D, np.float32), claims, steps=1, prompt="About {words}.")
    (found,) = decoder.invert(encoder(["fjord heath"]))
    assert heard == ["About fjord."]
    assert found.asserted() == ("fjord",)
    assert found.text in ("fjord", "heath")


def test_a_model_that_says_nothing_leaves_no_text(encoder: Encoder) -> None:
    decoder = GuidedDecoder(lambda text, k: [], encoder, np.zeros(D, np.float32))
    (found,) = decoder.invert(encoder(["fjord"]))
    assert found.text == ""
    assert found.cosine is None


def test_a_language_model_without_weights_proposes_what_follows_in_public_texts() -> None:
    propose = ngram_model(["the red fox", "the red hen", "a red fox", "the cat"], order=3)
    # After "the red" come fox and hen; after "red" alone fox is twice as frequent.
    after = dict(propose("the red", 2)), dict(propose("Look, red", 1)), dict(propose("", 2))
    assert after[0] == pytest.approx({" fox": np.log(1 / 2), " hen": np.log(1 / 2)})
    assert after[1] == pytest.approx({" fox": np.log(2 / 3) + np.log(0.4)})
    assert after[2] == pytest.approx({"the": np.log(3 / 4), "a": np.log(1 / 4)})
    # An unknown context leaves the most frequent words.
    assert {word for word, _ in propose("xyz", 2)} == {" the", " red"}
    assert propose("xyz ", 1)[0][0] in ("the", "red")
    assert len(propose("the red", 4)) == 4
    with pytest.raises(InputError, match=r"No text has a word; give public texts\."):
        ngram_model(["", " "])
    with pytest.raises(InputError, match="order is 0; an integer >= 1"):
        ngram_model(["a"], order=0)


def test_guided_decoding_with_public_texts_finds_the_words_of_a_vector(
    encoder: Encoder, rng: np.random.Generator
) -> None:
    texts, public = documents(rng, 20), documents(rng, 400)
    decoder = GuidedDecoder(ngram_model(public, order=2), encoder, np.zeros(D, np.float32), beams=4, steps=3, prompt="")
    found = decoder.invert(encoder(texts))
    assert [set((e.text or "").split()) for e in found] == [set(text.split()) for text in texts]
    scores = score_texts(found, texts, floor=public)
    assert float(scores.token_f1.value) > 0.99
    assert float(scores.token_f1.control or 0) < 0.4


def test_guided_decoding_refuses(encoder: Encoder) -> None:
    with pytest.raises(InputError, match="beams is 0; an integer >= 1"):
        guided(encoder, beams=0)
    with pytest.raises(InputError, match=f"{D}"):
        guided(encoder).invert(np.ones((2, D + 1)))


@pytest.mark.parametrize("revision", [None, "main", "abc123"])
def test_a_model_of_a_hub_needs_its_commit(revision: str | None) -> None:
    with pytest.raises(InputError, match="needs its commit, 40 hexadecimal digits"):
        causal_lm("some/model", revision=revision)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny language model with a vocabulary of words, made here."""
    transformers, tokenizers = pytest.importorskip("transformers"), pytest.importorskip("tokenizers")
    torch = pytest.importorskip("torch")
    names = {"<unk>": 0, "<s>": 1, **{word: i + 2 for i, word in enumerate(WORDS)}}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(names, unk_token="<unk>"))  # noqa: S106
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", bos_token="<s>").save_pretrained(
        tmp_path
    )  # noqa: S106
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            vocab_size=len(names), n_positions=32, n_embd=16, n_layer=1, n_head=2, bos_token_id=1
        )
        transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore")
def test_a_model_in_a_folder_proposes_words_and_no_marks(model: Path, encoder: Encoder) -> None:
    propose = causal_lm(model)
    for text in ("", "amber birch"):
        found = propose(text, 5)
        assert len(found) == 5
        assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
        assert {word.strip() for word, _ in found} <= set(WORDS)
        assert all(word.startswith(" ") for word, _ in found) or text == ""
    assert len(propose("amber", 100)) == len(WORDS)
    decoder = GuidedDecoder(propose, encoder, np.zeros(D, np.float32), steps=3)
    (written,) = decoder.invert(encoder(["cedar kelp"]))
    assert set((written.text or "").split()) == {"cedar", "kelp"}


@pytest.mark.filterwarnings("ignore")
def test_pickled_weights_are_not_loaded(model: Path) -> None:
    torch = pytest.importorskip("torch")
    (model / "model.safetensors").unlink()
    torch.save({}, model / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        causal_lm(model)


def test_the_decoder_writes_what_vectors_say_and_claims_what_others_assert(
    encoder: Encoder, rng: np.random.Generator, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    texts = documents(rng, 600)
    losses: list[float] = []
    settings: dict[str, Any] = {"hidden": 48, "epochs": 12, "batch": 32, "lr": 1e-2, "length": 4}
    decoder = TextDecoder.fit(
        encoder(texts),
        texts,
        keywords=Claims(Keyword("fjord", 0.9)),
        report=lambda s: losses.append(s["loss"]),
        **settings,
    )
    assert losses[-1] < 0.5 * losses[0]
    fresh = documents(rng, 40)
    found = decoder.invert(encoder(fresh))
    figures = score_texts(found, fresh)
    assert float(figures.token_f1.value) > 0.9
    assert figures.token_f1.control is not None
    assert float(figures.token_f1.control) < 0.4
    assert found[0].asserted() == ("fjord",)

    again = TextDecoder.load(decoder.save(tmp_path / "d.safetensors"))
    assert [e.text for e in again.invert(encoder(fresh))] == [e.text for e in found]
    assert again.invert(encoder(fresh[:1]))[0].keywords == ()
    twin = TextDecoder.fit(encoder(texts), texts, **settings)
    np.testing.assert_array_equal(twin.weights["out.weight"], decoder.weights["out.weight"])


def test_noise_teaches_it_to_bear_noise(encoder: Encoder, rng: np.random.Generator) -> None:
    pytest.importorskip("torch")
    texts, fresh = documents(rng, 600), documents(rng, 100)
    rows = encoder(fresh)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    noisy = rows + 1.0 / np.sqrt(D) * rng.standard_normal(rows.shape)  # cosine 0.7
    settings: dict[str, Any] = {"hidden": 48, "epochs": 12, "batch": 32, "lr": 1e-2, "length": 4}
    naive, wary = (TextDecoder.fit(encoder(texts), texts, translation_cosine=f, **settings) for f in (1.0, 0.7))
    f1 = [float(score_texts(d.invert(noisy), fresh).token_f1.value) for d in (naive, wary)]
    assert f1[1] > f1[0]


def test_the_decoder_refuses(
    encoder: Encoder, rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = documents(rng, 60)
    with pytest.raises(InputError, match="60 vectors and 59 texts"):
        TextDecoder.fit(encoder(texts), texts[1:])
    with pytest.raises(InputError, match="translation_cosine is 0"):
        TextDecoder.fit(encoder(texts), texts, translation_cosine=0)
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"cannot be read as \.safetensors"):
        TextDecoder.load(tmp_path / "x.safetensors")
    from safetensors.numpy import save_file

    save_file({"a": np.ones(2)}, tmp_path / "y.safetensors")
    with pytest.raises(InputError, match="is not a text decoder"):
        TextDecoder.load(tmp_path / "y.safetensors")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"interlingua\[neural\]"):
        TextDecoder.fit(encoder(texts), texts)


def test_reencoded_cosine_refuses_and_counts_silence_as_nothing(encoder: Encoder) -> None:
    with pytest.raises(InputError, match="1 vector for 2 documents"):
        reencoded_cosine([Extraction(text="amber")] * 2, ["amber", "birch"], encoder(["amber"]), encoder)
    texts = ["amber", "birch", "cedar"]
    silent = reencoded_cosine([Extraction(text=None)] * 3, texts, encoder(texts), encoder)
    assert float(silent.value) == 0.0
