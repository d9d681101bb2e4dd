"""Personal data and secrets in texts, by their form and their check digits: a screen, not a proof that there is none."""

import re
from collections.abc import Iterator
from typing import Literal

Kind = Literal["email", "phone", "card", "iban", "key"]
Found = tuple[Kind, int, int]  # what, and characters from and to (exclusive)

_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_CARD = re.compile(r"(?<![\d-])(?:\d[ -]?){12,18}\d(?![\d-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b")
_NUMBER = re.compile(r"(?<![\w.,/#-])(?:\+|00)?\(?\d[\d ()./\-\u2011\u2013]{5,20}\d(?![\w-])")
_NORTH_AMERICA = re.compile(r"(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}")
_SAID = re.compile(
    r"(?:\b(?:tele)?phone|\btel|\bcall(?:ed|ing)?|\bmobile|\bcell|\bfax|\bwhatsapp|\btext(?:ed)? me|\breach(?:ed)? (?:me|us)"
    r"|\btel[eé]fono|\bm[oó]vil|\bll[aá]m\w+)\W*(?:\w+\W+){0,3}$",
    re.IGNORECASE,
)
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,3}(?:\.\d{1,3}){3}")
_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:.*?-----END (?:[A-Z]+ )*PRIVATE KEY-----)?"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{30,}|\bgithub_pat_\w{30,}|\bhf_[A-Za-z]{30,}|\bsk-[\w-]{20,}"
    r"|\bxox[abprs]-[\w-]{10,}|\bAIza[\w-]{35}|\b[rs]k_(?:live|test)_\w{16,}|\bglpat-[\w-]{20,}|\bnpm_\w{36}"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"
    r"|(?i:\b(?:password|passwort|contrase[ñn]a|passphrase|api[ _-]?key|secret|access[ _-]?token)\b\s*(?:is|es|=|:)\s*"
    r"[\"']?(?=\S*\d)[^\s\"',;]{6,})",
    re.DOTALL,
)
_REGIONS = ("US", "GB", "DE", "ES", "FR", "IT", "NL", "AU", "IN", "MX", "BR")


def find(text: str) -> list[Found]:
    """What was found, in order, without overlaps."""
    found: list[Found] = []
    for kind, start, end in _candidates(text):
        if all(end <= other[1] or start >= other[2] for other in found):
            found.append((kind, start, end))
    return sorted(found, key=lambda one: one[1])


def mask(text: str) -> str:
    """The text with each find replaced by its kind, as [EMAIL]."""
    for kind, start, end in reversed(find(text)):
        text = f"{text[:start]}[{kind.upper()}]{text[end:]}"
    return text


def _candidates(text: str) -> Iterator[Found]:
    yield from (("key", *match.span()) for match in _KEY.finditer(text))
    if "@" in text:
        yield from (("email", *match.span()) for match in _EMAIL.finditer(text))
    if sum(map(str.isdigit, text)) < 7:
        return
    yield from (("iban", *match.span()) for match in _IBAN.finditer(text) if _is_iban(match.group()))
    yield from (("card", *match.span()) for match in _CARD.finditer(text) if _is_card(match.group()))
    yield from (("phone", *match.span()) for match in _NUMBER.finditer(text) if _is_phone(match, text))


def _is_iban(text: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(text.replace("-", "")))


def _is_card(text: str) -> bool:
    """Thirteen to nineteen digits of a known issuer, with the right check digit (Luhn 1960)."""
    from stdnum import luhn

    digits = re.sub(r"\D", "", text)
    return digits[0] in "23456" and len(set(digits)) > 1 and bool(luhn.is_valid(digits))


def _is_phone(match: re.Match[str], text: str) -> bool:
    """A valid number with its country code, one written as numbers of a country are, or digits called a telephone's."""
    number = match.group().strip()
    digits = sum(map(str.isdigit, number))
    if not 7 <= digits <= 15 or _DATE.fullmatch(number):
        return False
    if number.startswith(("+", "00")):
        return _valid("+" + number.lstrip("+0"), None)
    if _NORTH_AMERICA.fullmatch(number):
        return True
    said = bool(_SAID.search(text[max(0, match.start() - 40) : match.start()]))
    if said:
        return True
    spaced = bool(re.search(r"\d[ ./()-]+\d", number)) and number[0] in "0("
    return spaced and any(_valid(number, region) for region in _REGIONS)


def _valid(number: str, region: str | None) -> bool:
    import phonenumbers

    try:
        found = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_possible_number(found) if region is None else phonenumbers.is_valid_number(found))
