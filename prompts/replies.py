"""Replies already paid for, by what was asked: one SQLite file an owner."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any

from prompts.home import owner_folder
from prompts.messages import Reply


def key_of(**what: Any) -> str:
    """A fingerprint of everything that decides a reply: model and revision, rendered tokens, sampling."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Replies:
    """A mapping from keys to (reply, the plan it was computed under)."""

    def __init__(self, owner: str) -> None:
        folder = owner_folder(owner, "cache")
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "replies.sqlite"
        with self._open() as database:
            database.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT, plan TEXT)")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            yield database

    def get(self, keys: Iterable[str]) -> dict[str, tuple[Reply, str]]:
        """The replies known for these keys."""
        found = {}
        with self._open() as database:
            for key in keys:
                if row := database.execute("SELECT reply, plan FROM replies WHERE key = ?", (key,)).fetchone():
                    found[key] = (Reply(**json.loads(row[0])), str(row[1]))
        return found

    def put(self, replies: Iterable[tuple[str, Reply]], plan: str) -> None:
        """Keeps replies, all of them or none."""
        rows = [(key, json.dumps(asdict(reply)), plan) for key, reply in replies]
        with self._open() as database:
            database.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", rows)
