"""What asking costs."""

from prompts.models import parse
from prompts.settings import Settings, knob


class Prices(Settings):
    """What an hour of this machine and a server's tokens cost."""

    dollars_per_hour: float = knob(
        0.03, title="Price of this machine", unit="$ an hour", ge=0, le=1000, place=44, advanced=True,
        help="What an hour costs; the costs of everything asked and trained here follow from it. 0.03: a Space's upgraded CPU.",
    )  # fmt: skip
    dollars_per_million_in: float | None = knob(
        None, title="A server's tokens read", unit="$ a million", gt=0, le=1000, place=45, advanced=True,
        help="The price of a model on a server; empty: not known.",
    )  # fmt: skip
    dollars_per_million_out: float | None = knob(
        None, title="A server's tokens written", unit="$ a million", gt=0, le=1000, place=46, advanced=True,
        help="The price of a model on a server; empty: not known.",
    )  # fmt: skip


def cost(
    prices: Prices, seconds: float, tokens_in: float | None, tokens_out: float | None, *, by_tokens: bool
) -> float | None:
    """Dollars: of what runs here, by its seconds; of a server, by its tokens. None where that is not known."""
    if not by_tokens:
        return seconds * prices.dollars_per_hour / 3600
    pairs = ((prices.dollars_per_million_in, tokens_in), (prices.dollars_per_million_out, tokens_out))
    found = [price * tokens / 1_000_000 for price, tokens in pairs if price is not None and tokens is not None]
    return sum(found) if len(found) == len(pairs) else None


def on_a_server(model: str) -> bool:
    """Is this model's work paid by the token?"""
    return parse(model).kind == "server"
