"""interlingua: translate text embeddings between models without paired data."""
