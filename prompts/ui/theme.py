"""The look: a calm theme of our own, light and dark."""

from functools import cache
from typing import Any

import gradio as gr

from prompts.ui import charts

CSS = (
    """
.gradio-container {width: 100%}
.gradio-container main {max-width: 1180px !important; margin-inline: auto !important; width: 100%}
:root {--color-accent: var(--primary-700)}
.dark {--color-accent: var(--primary-400)}
.colours-told .role-legend {display: none}
.block.verdict {border-left: 4px solid var(--primary-500); padding: 12px 16px}
.gradio-container .prose table {display: block; overflow-x: auto; font-size: 13px; border: 0}
.gradio-container .prose :is(tr, th, td) {border-color: var(--border-color-primary)}
.gradio-container .prose :is(th, td) {padding: 4px 8px; border-width: 0 0 1px} .gradio-container .prose th {vertical-align: bottom}
.gradio-container .prose :is(td, th) {word-break: normal; overflow-wrap: normal}
.quiet p {color: var(--body-text-color-subdued); font-size: var(--text-sm)}
.status {min-height: 1.6em}
.block.quiet > .wrap.generating:not(:has(.progress-level)) {display: none}
.gradio-container .secondary-wrap input[role=combobox] {text-overflow: ellipsis; margin-right: 1.4em}
.row.centred {align-items: center}
.gradio-container .wrap:has(> span.error) {display: none}
.lens {max-height: 420px; overflow-y: auto; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.7;
  font-family: var(--font-mono); font-size: var(--text-sm); padding: 12px; border: 1px solid var(--border-color-primary);
  border-radius: 6px}
.lens span {border-radius: 3px; padding: 1px 0}
.lens .template {opacity: .75}
.lens .c0 {background: #d9f2e4; color: #14532d} .dark .lens .c0 {background: #12372a; color: #bbf7d0}
.lens .c1 {background: #fdf0cf; color: #713f12} .dark .lens .c1 {background: #3b2d0c; color: #fde68a}
.lens .c2 {background: #e0e7ff; color: #312e81} .dark .lens .c2 {background: #1e1b4b; color: #c7d2fe}
.lens .c3 {background: #fde2e0; color: #7f1d1d} .dark .lens .c3 {background: #3f1a1a; color: #fecaca}
.lens .c4 {background: #e0f2fe; color: #0c4a6e} .dark .lens .c4 {background: #082f49; color: #bae6fd}
.legend {display: flex; flex-wrap: wrap; gap: 8px; margin-top: 8px; font-size: var(--text-sm)}
.legend span {padding: 0 6px; border-radius: 3px}
.tokens :is(span, .legend-item) {color: var(--body-text-color) !important}
input.subdued {color: var(--body-text-color-subdued) !important}
.block.rows p {color: var(--body-text-color)}
html:has(body:not(.dark)) .cm-line span {color: inherit !important}
.cards button {display: block; white-space: pre-line; text-align: left; padding: 16px 18px; line-height: 1.5;
  font-weight: 400; font-size: var(--text-md); border: 1px solid var(--border-color-primary);
  background: var(--block-background-fill); color: var(--body-text-color)}
.cards button::first-line {font-weight: 700; font-size: var(--text-lg)}
.cards button:hover {border-color: var(--primary-500); background: var(--block-background-fill)}
.cards button.primary {border: 2px solid var(--primary-600); padding: 15px 17px}
.gradio-container {overflow: clip !important}
@media (min-width: 1000px) {.beside {position: sticky; top: 8px; align-self: start; max-height: calc(100vh - 16px);
  overflow-y: auto; padding: 3px; margin: -3px; flex-wrap: nowrap} .beside > * {flex-shrink: 0}}
@media (max-width: 600px) {.row.actions {display: grid; grid-template-columns: 1fr 1fr}}
.dark input[type=range] {--neutral-200: var(--neutral-700)}
.next {justify-content: flex-end; margin-top: 8px}
.rows {--font-mono: var(--font)}
.form > .block:has(> .checkbox-container) {min-width: min(280px, 100%) !important}
.gr-group .block.rows {padding: 8px 12px}
.label-wrap {text-align: left}
.gradio-container :focus-visible {outline: 2px solid var(--color-accent) !important; outline-offset: 1px}
@media (prefers-reduced-motion: reduce) {* {animation: none !important; transition: none !important}}
"""
    + charts.CSS
)


@cache
def theme() -> Any:
    """Teal on slate; bundled fonts in the two weights whose files are whole."""
    font = gr.themes.utils.fonts.LocalFont
    return gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        radius_size="md",
        spacing_size="md",
        text_size="md",
        font=[font("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=[font("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_shadow="none",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        input_background_fill_dark="*neutral_800",
        input_background_fill_focus_dark="*neutral_800",
        input_border_color="*neutral_400",
        input_border_color_dark="*neutral_600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        block_title_text_weight="600",
        layout_gap="16px",
    )
