"""From a file to what the model will learn: upload, columns, split, encode."""
