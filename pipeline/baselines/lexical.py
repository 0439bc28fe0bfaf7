"""Lexical baselines: the most frequent grade, and logistic regression on a bag of words."""

import re

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from pipeline.data.deduplication import text_key
from pipeline.data.scripts import IN_WORD, UNSEGMENTED, script_of

MAX_FEATURES = 20_000
UNSPACED = {"CJK", *UNSEGMENTED}
WORD = rf"\w(?:{IN_WORD})*"


def lexical_baseline_accuracies(train: pd.DataFrame, splits: dict[str, pd.DataFrame]) -> dict[str, float | None]:
    """`<split>_majority_accuracy` and `<split>_tfidf_accuracy` of graders fitted on `train` (query, title, grade).

    None where there are no training pairs.
    """
    if train.empty:
        return {f"{name}_{grader}_accuracy": None for name in splits for grader in ("majority", "tfidf")}
    most_frequent = np.bincount(train["grade"]).argmax()
    bag = fit_bag_of_words(train)
    values: dict[str, float | None] = {}
    for name, split in splits.items():
        values[f"{name}_majority_accuracy"] = float((split["grade"] == most_frequent).mean())
        values[f"{name}_tfidf_accuracy"] = float(bag.score(split[["query", "title"]], split["grade"]))
    return values


def fit_bag_of_words(train: pd.DataFrame) -> Pipeline:
    """A logistic regression on TF-IDF of the query and of the title, and on how far their words overlap.

    Words and pairs of words where the texts have spaces; one to three characters where they mostly have none.
    """
    texts = [*train["query"], *train["title"]]
    analyzer, terms = ("char", _characters) if mostly_unspaced(texts) else ("word", _words)
    shared = make_pipeline(FunctionTransformer(overlap, kw_args={"terms": terms}), StandardScaler())
    features = ColumnTransformer(
        [
            ("query", _tfidf(analyzer), "query"),
            ("title", _tfidf(analyzer), "title"),
            ("overlap", shared, ["query", "title"]),
        ]
    )
    return make_pipeline(features, LogisticRegression(max_iter=500)).fit(train[["query", "title"]], train["grade"])


def overlap(pairs: pd.DataFrame, terms) -> np.ndarray:
    """Overlap features [pair, 4]: Jaccard index, query terms in the title (share), the reverse, length difference."""
    return np.array(
        [_overlap(terms(query), terms(title)) for query, title in zip(pairs["query"], pairs["title"], strict=True)]
    )


def mostly_unspaced(texts: list[str]) -> bool:
    """Whether most letters belong to scripts written without spaces, such as Han, the Japanese syllabaries and Thai."""
    letters = [character for text in texts for character in text if character.isalpha()]
    return 2 * sum(script_of(letter) in UNSPACED for letter in letters) > len(letters)


def _overlap(query: list[str], title: list[str]) -> list[float]:
    first, second = set(query), set(title)
    shared = len(first & second)
    shares = [shared / max(1, len(whole)) for whole in (first | second, first, second)]
    return [*shares, len(title) - len(query)]


def _tfidf(analyzer: str) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=(1, 3) if analyzer == "char" else (1, 2),
        token_pattern=rf"{WORD}|[^\w\s]" if analyzer == "word" else None,
        max_features=MAX_FEATURES,
        sublinear_tf=True,
    )


def _words(text: str) -> list[str]:
    return re.findall(WORD, text_key(text))


def _characters(text: str) -> list[str]:
    return [character for character in text_key(text) if character.isalnum()]
