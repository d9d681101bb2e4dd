"""Readers of the file formats that prompts/rows.py takes: each yields rows, one at a time."""
