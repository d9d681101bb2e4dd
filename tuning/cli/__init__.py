"""The commands of `python -m tuning`."""
