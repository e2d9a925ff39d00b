"""The paper's method: networks through one latent space, trained against discriminators on unpaired vectors.

Jha, Zhang, Shmatikov, Morris, "Harnessing the Universal Geometry of Embeddings", NeurIPS 2025 (arXiv 2505.12540). Where
the paper and its released code disagree, the preset ``"paper"`` follows the code and ``"paper-text"`` the paper; the
default preset ``"small"`` is neither. Everything here needs the extra ``neural``;
:mod:`interlingua.core.networks` applies a trained network without it.
"""
