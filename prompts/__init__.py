"""Asking a model: templates, techniques, backends, scores. Knows nothing of `tuning`; importing it has no effects."""
