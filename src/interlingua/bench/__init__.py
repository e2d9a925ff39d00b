"""The tables of the vec2vec paper (arXiv 2505.12540), with our figures next to the paper's.

Every cell is a fit without pairs on two disjoint halves of a corpus and a measurement on texts of neither half. The
paper's encoders and corpora are downloaded from a hub; files of any other vectors can replace them.
"""

from interlingua.bench.folder import Vectors
from interlingua.bench.page import comma_separated, page
from interlingua.bench.paper import PAPER
from interlingua.bench.picture import picture
from interlingua.bench.plan import TABLES, Case, Plan
from interlingua.bench.runs import run

__all__ = ["PAPER", "TABLES", "Case", "Plan", "Vectors", "comma_separated", "page", "picture", "run"]
