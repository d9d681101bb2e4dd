"""From a table to what the model will learn: sources, columns, doctor and fixes, split, encode."""
