"""Sums in a text, checked: "3 x 4 = 12" is right, "3 x 4 = 13" is not."""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, DivisionByZero, InvalidOperation, Overflow

_NUMBER = r"-?\$?\d[\d,]*(?:\.\d+)?"
_SUM = re.compile(
    rf"(?<![\w.^)*/+×÷−%-])(?<![-+*/x×÷−^] )\(*{_NUMBER}(?:[ ]*[-+*/x×÷−][ ]*\(?{_NUMBER}\)?)+\)?[ ]*=[ ]*({_NUMBER})"
    r"(?![\d,]*\.?\d)(?!%)(?! *[-+*/x×÷−^] *[\d($])"
)
MOST_DIGITS = 15  # of a number; longer ones are not worked out
_OPERATORS: dict[type, Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


@dataclass(frozen=True)
class Sum:
    """Characters `start` to `end` of the text; `value` is what the left side comes to."""

    start: int
    end: int
    text: str
    right: bool
    value: str


def sums(text: str) -> list[Sum]:
    """Every sum that can be worked out: numbers with + - x / and an equals sign; "10 / 3 = 3.33" counts as right. What has
    percents, powers or anything else in it is left alone.
    """
    found = []
    for match in _SUM.finditer(text):
        left = match.group().rpartition("=")[0]
        said = _value(match.group(1))
        if said is not None and (value := _value(left)) is not None:
            places = Decimal(1).scaleb(min(0, int(said.as_tuple().exponent)))
            right = said in (value, value.quantize(places, ROUND_HALF_UP))
            found.append(Sum(*match.span(), match.group(), right, f"{float(value):.10g}"))
    return found


def _plain(text: str) -> str:
    return re.sub(r"[$,\s]", "", text)


def _value(text: str) -> Decimal | None:
    text = _plain(text).translate(str.maketrans("x×÷−", "**/-"))
    if any(len(number) > MOST_DIGITS for number in re.findall(r"[\d.]+", text)) or len(text) > 200:
        return None
    try:
        return _worked_out(ast.parse(re.sub(r"\b0+(?=\d)", "", text), mode="eval").body)
    except (SyntaxError, ValueError, DivisionByZero, InvalidOperation, Overflow, RecursionError):
        return None


def _worked_out(node: ast.expr) -> Decimal:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_worked_out(node.left), _worked_out(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_worked_out(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Decimal(str(node.value))
    raise ValueError("no sum")
