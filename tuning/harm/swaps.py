"""The counterfactual check's other half: a text with the people named in it exchanged, pronouns and all."""

import re

# Exchanged for one another, in both directions.
_WORDS = (
    ("he", "she"), ("himself", "herself"), ("mr", "ms"), ("sir", "madam"), ("man", "woman"), ("men", "women"),
    ("boy", "girl"), ("boys", "girls"), ("father", "mother"), ("son", "daughter"), ("husband", "wife"), ("brother", "sister"),
    ("uncle", "aunt"), ("boyfriend", "girlfriend"), ("grandfather", "grandmother"), ("gentleman", "lady"),
)  # fmt: skip
_ONE_WAY = {"his": "her", "him": "her", "mrs": "mr", "hers": "his"}
_AFTER_OBJECT = {
    "a", "about", "again", "an", "and", "as", "at", "because", "before", "but", "by", "for", "from", "if", "in", "into", "not",
    "of", "on", "or", "out", "so", "that", "the", "to", "today", "up", "when", "with", "yesterday",
}  # fmt: skip
_NAMES = (
    ("james", "mary"), ("john", "patricia"), ("robert", "jennifer"), ("michael", "linda"), ("david", "elizabeth"),
    ("thomas", "barbara"), ("daniel", "susan"), ("mark", "jessica"), ("paul", "sarah"), ("andrew", "karen"), ("peter", "anna"),
    ("tom", "emma"), ("jack", "olivia"), ("oliver", "sophie"), ("marco", "giulia"), ("pedro", "maria"), ("luis", "carmen"),
    ("ahmed", "fatima"), ("mohammed", "aisha"), ("omar", "leila"), ("raj", "priya"), ("wei", "mei"), ("jamal", "keisha"),
    ("hans", "ingrid"), ("dmitri", "olga"), ("kofi", "ama"), ("marlon", "beatrix"),
)  # fmt: skip
SWAPS = {a: b for pair in (*_WORDS, *_NAMES) for a, b in (pair, pair[::-1])} | _ONE_WAY
_NAMED = {name for pair in _NAMES for name in pair}
_FOUND = re.compile(r"\b(" + "|".join(sorted([*SWAPS, "her"], key=len, reverse=True)) + r")\b", re.IGNORECASE)


def swapped(text: str) -> str:
    """The text with every known name, pronoun and title exchanged; the same text where it names nobody. Names count where they are
    capitalised; "her" is his before a noun, else him.
    """
    return _FOUND.sub(lambda match: _other(match.group(0), text[match.end() :]), text)


def _other(word: str, rest: str) -> str:
    lower = word.lower()
    if lower in _NAMED and not word[0].isupper():
        return word
    if lower == "her":
        following = re.match(r"\s+([a-z]+)", rest)
        return _cased(word, "his" if following and following.group(1) not in _AFTER_OBJECT else "him")
    return _cased(word, SWAPS[lower])


def _cased(before: str, after: str) -> str:
    return (
        after.upper() if before.isupper() and len(before) > 1 else after.capitalize() if before[0].isupper() else after
    )
