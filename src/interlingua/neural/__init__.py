"""The paper's method: networks through one latent space, trained against discriminators on unpaired vectors.

Jha, Zhang, Shmatikov, Morris, "Harnessing the Universal Geometry of Embeddings", NeurIPS 2025 (arXiv 2505.12540). Where
the paper and its released code disagree, the code's choice is the default and the paper's a setting. Everything here
needs the extra ``neural``; :mod:`interlingua.core.networks` applies a trained network without it.
"""
