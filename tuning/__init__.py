"""Changing a model: data, recipe, run, evaluation, publication. May import `prompts`; importing it has no effects."""
