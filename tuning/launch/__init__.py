"""Where a run executes: process.py, a child process of this machine."""
