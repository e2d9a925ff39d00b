"""Inversion: words and texts from vectors of the known space, by methods that share one protocol."""

from interlingua.leakage.inversion.decoder import TextDecoder as TextDecoder
from interlingua.leakage.inversion.extraction import Extraction as Extraction
from interlingua.leakage.inversion.extraction import Inverter as Inverter
from interlingua.leakage.inversion.extraction import Keyword as Keyword
from interlingua.leakage.inversion.extraction import Neighbor as Neighbor
from interlingua.leakage.inversion.guided import GuidedDecoder as GuidedDecoder
from interlingua.leakage.inversion.guided import causal_lm as causal_lm
from interlingua.leakage.inversion.keywords import KeywordDecoder as KeywordDecoder
from interlingua.leakage.inversion.ngrams import ngram_model as ngram_model
from interlingua.leakage.inversion.probe import WordProbe as WordProbe
from interlingua.leakage.inversion.retrieval import CorpusRetrieval as CorpusRetrieval

__all__ = [
    "CorpusRetrieval",
    "Extraction",
    "GuidedDecoder",
    "Inverter",
    "Keyword",
    "KeywordDecoder",
    "Neighbor",
    "TextDecoder",
    "WordProbe",
    "causal_lm",
    "ngram_model",
]
