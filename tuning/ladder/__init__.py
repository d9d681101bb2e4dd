"""The ladder: the same held-out rows up every rung, from a plain question to the fine-tune."""
