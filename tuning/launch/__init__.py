"""Where work is done: a process of this machine (process.py), a thread of the app (start.py), a Job on Hugging Face (jobs.py)."""
