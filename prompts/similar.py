"""Which texts are like a text: cosine of TF-IDF weights (Salton and Buckley 1988), by scikit-learn."""

from collections.abc import Sequence
from typing import Any


class Similar:
    """Texts to choose among."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Raises ValueError where no text holds a word."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectorizer = TfidfVectorizer(sublinear_tf=True)
        self._weights: Any = self._vectorizer.fit_transform(texts)

    def to(self, text: str, k: int) -> list[int]:
        """The k texts nearest to `text`, the nearest last, as examples stand best right before the question."""
        import numpy as np

        nearness = (self._weights @ self._vectorizer.transform([text]).T).toarray().ravel()
        return [int(at) for at in np.argsort(-nearness, kind="stable")[:k][::-1]]


def telling_words(texts: Sequence[str], labels: Sequence[str], k: int) -> dict[str, list[str]]:
    """The k words that weigh most in the texts of each label against the others. Raises ValueError where no text holds a word."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, stop_words="english", token_pattern=r"(?u)\b[^\W\d]{3,}\b", min_df=2
    )
    weights = vectorizer.fit_transform(texts)
    words, kinds = vectorizer.get_feature_names_out(), np.asarray(labels)
    found = {}
    for label in dict.fromkeys(labels):
        inside, outside = weights[kinds == label].mean(axis=0), weights[kinds != label].mean(axis=0)
        order = np.asarray(inside - outside).ravel().argsort()[::-1]
        found[label] = [str(words[at]) for at in order[:k]]
    return found
