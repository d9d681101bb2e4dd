"""Which texts are like a text, and which differ: BM25 (Robertson et al. 1994, by bm25s) and TF-IDF (scikit-learn)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any


class Similar:
    """Texts to choose among."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Raises ValueError where no text holds a word."""
        import bm25s

        words = bm25s.tokenize(list(texts), stopwords=None, show_progress=False, return_ids=False)
        if not any(words):
            raise ValueError("no text holds a word")
        self._ranks = bm25s.BM25()
        self._ranks.index(words, show_progress=False)

    def scores(self, text: str) -> Any:
        """How near each text is to this one, shape (texts,); all 0 where no word is shared."""
        import bm25s
        import numpy as np

        words = bm25s.tokenize([text], stopwords=None, show_progress=False, return_ids=False)[0]
        known = [word for word in words if word in self._ranks.vocab_dict]
        return self._ranks.get_scores(known) if known else np.zeros(self._ranks.scores["num_docs"])

    def to(self, text: str, k: int) -> list[int]:
        """The k texts nearest to `text`, the nearest last, as examples stand best right before the question."""
        import numpy as np

        return [int(at) for at in np.argsort(-self.scores(text), kind="stable")[:k][::-1]]


@lru_cache(maxsize=8)
def similar_among(texts: tuple[str, ...]) -> Similar:
    """`Similar`, kept for the next question to the same texts."""
    return Similar(texts)


def diverse(texts: Sequence[str], k: int) -> list[int]:
    """k texts that differ from one another: the one nearest to the middle, then always the one farthest from those chosen
    (Gonzalez 1985, farthest-first). Raises ValueError where no text holds a word.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    weights = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    nearness = (weights @ weights.T).toarray()
    chosen = [int(nearness.sum(0).argmax())]
    while len(chosen) < min(k, len(texts)):
        nearest = nearness[chosen].max(0)
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return chosen


def telling_words(texts: Sequence[str], labels: Sequence[str], k: int) -> dict[str, list[str]]:
    """The k words that weigh most in the texts of each label against the others; nothing for a single
    label. Raises ValueError where no text holds a word.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, stop_words="english", token_pattern=r"(?u)\b[^\W\d]{3,}\b", min_df=2
    )
    weights = vectorizer.fit_transform(texts)
    words, kinds = vectorizer.get_feature_names_out(), np.asarray(labels)
    found: dict[str, list[str]] = {}
    if len(set(labels)) < 2:
        return found
    for label in dict.fromkeys(labels):
        inside, outside = weights[kinds == label].mean(axis=0), weights[kinds != label].mean(axis=0)
        more = np.asarray(inside - outside).ravel()
        found[label] = [str(words[at]) for at in more.argsort()[::-1][:k] if more[at] > 0]
    return found
