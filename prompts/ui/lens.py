"""The exact prompt, coloured by where each part came from."""

from html import escape

from prompts.messages import Rendered
from prompts.words import later, say

SOURCES = later(("task", "input", "reasoning", "example", "document"))  # and the cards, which the form names


def _named(source: str) -> str:
    """ "example 2" -> the same in words of the page: its name may be followed by a number or a file's name."""
    name, space, which = source.partition(" ")
    return say(name) + space + which


def lens(rendered: Rendered | None, notes: tuple[str, ...] = ()) -> str:
    """HTML of a rendered prompt; every text in it is escaped."""
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    if rendered is None:
        unseen = say("The server applies its own template and does not show it; it gets the messages below.")
        return f"<p>{unseen}</p>{said}"
    sources = list(dict.fromkeys(span.source for span in rendered.spans if span.source != "template"))
    colour = {source: f"c{number % 5}" for number, source in enumerate(sources)}
    body = "".join(
        f'<span class="{colour.get(span.source, "template")}">{escape(rendered.text[span.start : span.end])}</span>'
        for span in rendered.spans
    )
    legend = "".join(f'<span class="{colour[source]}">{escape(_named(source))}</span>' for source in sources)
    bar = ""
    if rendered.window:
        share = len(rendered.ids) / rendered.window
        words = say("{share:.1%} of the model's window of {window:,} tokens", share=share, window=rendered.window)
        meter = f'<meter min="0" max="{rendered.window}" value="{len(rendered.ids)}" aria-label="{say("Context window used")}">'
        bar = f"<p>{meter}</meter> {words}</p>"
    counted = say(
        "{count:,} tokens as the model reads them; what has no colour is the model's template.", count=len(rendered.ids)
    )
    return (
        f"{bar}<p>{counted}</p>"
        f'{said}<div class="lens" tabindex="0" role="region" aria-label="{say("Exact prompt")}">{body}</div>'
        f'<div class="lens legend" style="border:0;padding:0">{legend}</div>'
    )
