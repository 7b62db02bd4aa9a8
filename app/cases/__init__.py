"""Applications for normalisation, and appeals."""
