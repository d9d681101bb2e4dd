"""Refining a prompt: proposals with and without a model, the gates they pass, the tree of versions, the optimiser."""
