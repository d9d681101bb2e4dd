"""Names that Gradio's markup leaves out, for those who hear the page."""

import gradio as gr

from prompts.ui.forms import PRIVATE

# A label names the first control in it, which is the copy button where a field has one.
NAMED = """() => {
    const nameless = () => document.querySelectorAll("label textarea").forEach(field => {
        const label = field.closest("label");
        const words = label.querySelector("[data-testid=block-info]");
        if (words && label.control !== field) field.ariaLabel = words.textContent.trim();
    });
    let waits = false;
    new MutationObserver(() => {
        if (waits) return;
        waits = true;
        requestAnimationFrame(() => {waits = false; nameless()});
    }).observe(document.body, {childList: true, subtree: true});
    nameless();
}"""


def name_fields(demo: gr.Blocks) -> None:
    """Gives every field on the page the name that it shows."""
    demo.load(None, None, None, js=NAMED, api_name="ui_name_fields", api_visibility=PRIVATE)
