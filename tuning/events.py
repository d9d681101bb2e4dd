"""The kinds of event of fine-tuning, as prompts/events.py has them: of a run's events.jsonl, and of what is told on the way."""

KINDS = {
    # a run, in this order
    "queued": "",
    "fetching": "model done of remaining",  # bytes, seconds
    "loading": "model",
    "reading": "done of remaining",  # rows that were tokenised, seconds
    "data": "train_rows validation_rows held_out_rows train_tokens dropped cut ...",  # rows that were left out, rows that were cut
    # its trainer
    "training": "step steps",  # it begins, or goes on after this step
    "step": "step steps epoch loss grad_norm learning_rate tokens tokens_per_second elapsed remaining memory_gb",  # seconds
    "evaluation": "step epoch part loss",  # of "validation" or "held_out"
    "measuring": "step part done of remaining",  # rows of the part; seconds, with the steps that are left
    "sample": "step epoch answers",
    "autopilot": "step did",  # what it changed by itself
    "trained": "step train_loss validation_loss eval_loss tokens_per_second peak_memory_gb seconds ...",
    "slice": "step",  # the GPU's lease is over, and it goes on in the next
    "lease_lost": "step",
    "cancelled": "step",
    # what comes after it
    "evaluating": "done of remaining",  # rows that base and tuned have read or answered, both counted; seconds
    "evaluated": "...",
    "tracker": "name where problem",
    "job": "stage",  # of a Job on Hugging Face, which has ended
    "failed": "reason trace job_event",
    "finished": "best",  # of a sweep, its best run
    "end": "",  # for trackers alone
    "status": "...",  # last, for who follows a run: its snapshot
    # an export, and a publication
    "writing": "form passed remaining",  # seconds
    "comparing": "side done of",  # rows that "adapter" or "exported" has answered
    "checked": "check",
    "exported": "run form folder files check",
    "uploading": "repo done of",  # bytes
    "reading_back": "repo done of",  # bytes
    "loading_again": "repo done of passed remaining",  # a copy loaded, an answer; seconds
    "published": "deleted ...",
    "not_published": "repo reason",
    # a sweep
    "trial": "trial of run values",
    "tried": "trial run status reason validation_loss",
    # a ladder
    "rung": "rung remaining",  # it is next; seconds for it and those after it
    "answered": "rung document",
    "asked": "rung score",
    "left_out": "rung why",
    # what else is measured or made
    "screening": "what done of",  # texts, or answers, of base and tuned
    "screened": "...",
    "scored": "...",
    "distilled": "...",
}
