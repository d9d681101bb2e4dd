"""The words of the field that the page uses, each in a sentence."""

import gradio as gr

WORDS = """**Rows and scores**

- *Held-out rows*: rows that nobody trains on or looks at while improving a prompt; only they say how good something is.
- *Development rows*: rows that you, or a search, may look at; a score on them flatters.
- *95 % interval*, [61 %, 74 %]: where the true score most likely lies; few rows make it wide.
- *p*: how often luck alone would make a difference as large as this one. Below 0.05 it counts as measurable.
- *Exact McNemar test*, *paired bootstrap*: two ways to get p from rows answered twice, for right or wrong and for graded scores.
- *Holm-adjusted*: p is made stricter, since with many comparisons one looks good by luck.
- *Anytime-valid betting test*: a test that one may look at after every row, and stop.
- *Macro-F1*: right answers, every label counting the same however rare it is.
- *ROUGE-L*, *chrF*: how much of the right answer's words or letters an answer has, 0 to 1.

**Training**

- *Token*: a piece of a word, which models read and write; about four letters of English.
- *Loss*, *perplexity*: how surprised the model is by the right answers, and that as so many equally likely choices; less is better.
- *Epoch*: once through all training rows. *Batch*: rows that are learned from at once.
- *LoRA*: training a small adapter in place of all the weights; *rank* is its size. *QLoRA*: the same on a model in 4 bits.
- *Rung*: one way to answer the rows, a prompt technique or the fine-tune; the ladder asks them from cheap to dear.
- *Sweep*: several recipes on the same rows, of which the best is kept."""


def glossary() -> None:
    with gr.Accordion("What the words mean", open=False):
        gr.Markdown(WORDS)
