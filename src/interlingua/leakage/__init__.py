"""Leakage of embeddings: attributes, words and neighbors inferred from vectors.

All functions take vectors of the *known* space, the space of the auditor's encoder, so that native, translated and
defended vectors are measured alike. Every figure comes with controls: chance, a wrong document, the true vectors.
"""
