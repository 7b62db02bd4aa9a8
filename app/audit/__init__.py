"""The journal taken out and proved: checkpoints, proofs, signed exports with their verifier, figures."""
