"""The paper's method: networks through one latent space, trained against discriminators on unpaired vectors.

Jha, Zhang, Shmatikov, Morris, "Harnessing the Universal Geometry of Embeddings", NeurIPS 2025 (arXiv 2505.12540). Where
the paper and its released code disagree, the presets ``"paper"`` and ``"paper-text"`` with a cold start follow the code
and the paper; the default preset ``"small"`` is neither. Everything here needs the extra ``neural``;
:mod:`interlingua.core.networks` applies a trained network without it.
"""
