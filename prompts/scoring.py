"""(output, reference) -> passed or not. Pure functions."""


def normal(text: str) -> str:
    """Folded for comparing: lower case, single spaces, no closing punctuation or quotes around it."""
    return " ".join(text.casefold().split()).strip(" .!\"'`*")


def exact_match(output: str, reference: str) -> bool:
    """Are the two the same text, case, spacing and closing punctuation aside?"""
    return normal(output) == normal(reference)
