"""What vectors give away: attributes, words and neighbors inferred from them.

Everything here takes vectors of the *known* space, so that native, translated and defended vectors are measured alike.
Every figure stands beside what chance, a wrong document and the true vectors give.
"""
