"""The fine-tuning tabs."""
