"""The generated corpus: search queries, each with several page titles of different grades.

Nothing but the seed decides it, so that the whole project runs without any data of its own. A query names a thing (one
core term, or an origin and a destination), one or two modifiers of it and what is wanted of it, the intent; a title is
drawn beside it with one thing changed, which decides the grade.

The rubric (the label stands in brackets; the first line that applies decides):

0 (1)  Unrelated: another domain, or a core of another category (the laptop for the laptop bag), however many words
       are shared. So is a page that only carries the words as a name, when the thing itself
       is asked for (a song or a crossword clue), and the reverse.
1 (2)  Another thing of the same category: another kind of shoe, another complaint of the skin. For a route: one of the
       places is another, or the direction is reversed.
2 (3)  The right thing, but wrong in one respect: another modifier of the same kind in the place of the one asked for
       (blue for red), or another intent (reviews for the price).
3 (4)  The right thing and intent, but one modifier that was asked for is not mentioned.
4 (5)  Answers fully: the thing, each modifier and the intent, in the same words or in others.

Page tails and site names change no grade.

The phenomenon of a pair names what decided its grade:

exact              4: every term in the query's own words
synonym            4: at least one term in other words
multi_word         4: a term of several words, whole, though others share a part of it; 1: one of those others
split_word         4: a word that WordPiece splits, repeated; 1: another such word of the category
word_order         4: a route in its direction; 1: the way back
low_overlap_match  4: fully answered, with hardly a word in common
missing_modifier   3
wrong_modifier     2
wrong_intent       2
same_category      1
unrelated          0
high_overlap_trap  0: at least half of the query's words, for something else

The vocabulary of a pair is its query's. A third of each category's cores, and a third of the other cores' synonyms,
stand in no text of train or dev; half of the test pairs belong to queries with such a word (unseen), and the other half
are made of what train shows, as train's own are (seen). Both halves have every phenomenon in the same shares.
"""

from collections.abc import Mapping
from random import Random

import pandas as pd

from pipeline.data.synthetic.cases import CASES
from pipeline.data.synthetic.chinese import CHINESE
from pipeline.data.synthetic.english import ENGLISH
from pipeline.data.synthetic.hold_out import SEEN, UNSEEN, hold_out, seen_part
from pipeline.data.synthetic.noise import move_grades
from pipeline.data.synthetic.sampling import Taken, draw_pairs
from pipeline.data.synthetic.vocabulary import Language

LANGUAGES: Mapping[str, Language] = {"en": ENGLISH, "zh": CHINESE}
PHENOMENA = tuple(dict.fromkeys(case.phenomenon for case in CASES))
WORST, BEST = 0, 4
COLUMNS = ["query", "title", "grade", "domain", "phenomenon", "vocabulary"]


def generate(
    *,
    language: str,
    train_pairs: int,
    dev_pairs: int,
    test_pairs: int,
    label_noise: float,
    seed: int,
    titles_per_query: int = 6,
) -> pd.DataFrame:
    """Generate the three splits.

    Args:
        language: "en" or "zh".
        train_pairs, dev_pairs, test_pairs: the size of each split, met exactly; no query is in two splits, and no
            combination of terms (whatever its order, wording or intent) that a dev or test query asks for is a train
            query or title's, nor a test query's one of dev. The last query of a split may have fewer titles.
        label_noise: the share of each split's grades that are moved by one step.
        seed: the same seed gives the same frame. The test split depends on no other size than its own.
        titles_per_query: a query has this many titles, or one more or less.

    Returns:
        One row a pair: split, query, title, grade (0 worst to 4 best), domain, phenomenon, vocabulary ("unseen" where
        the query holds a word that is in neither train nor dev, which half of test does, else "seen"); train, dev and
        test in turn, the rows of a query together.

    Raises:
        InputError: the vocabulary has too few combinations for the sizes, or a query too few titles.
    """
    whole = hold_out(LANGUAGES[language], Random(f"{seed} {language} vocabulary"))
    sources = {SEEN: seen_part(whole), UNSEEN: whole}
    unseen = test_pairs // 2
    sizes = {
        "test": {SEEN: test_pairs - unseen, UNSEEN: unseen},
        "dev": {SEEN: dev_pairs},
        "train": {SEEN: train_pairs},
    }
    taken = Taken()
    frames = {}
    for split, parts in sizes.items():
        rng = Random(f"{seed} {language} {split}")
        rows = [
            row
            for vocabulary, pairs in parts.items()
            for row in draw_pairs(sources[vocabulary], vocabulary, pairs, titles_per_query, taken, rng)
        ]
        frame = pd.DataFrame(rows, columns=COLUMNS)
        noise = Random(f"{seed} {language} {split} noise")
        frame["grade"] = move_grades(frame["grade"].tolist(), label_noise, WORST, BEST, noise)
        frame.insert(0, "split", split)
        frames[split] = frame
    return pd.concat([frames[split] for split in ("train", "dev", "test")], ignore_index=True)
