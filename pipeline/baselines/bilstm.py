"""The article's baseline: a BiLSTM with interactive attention, its vocabulary, training and logits.

Query and title are encoded by one BiLSTM; each word is compared with the words of the other text that it aligns with,
and the comparisons are pooled. That is the local inference of ESIM (Chen et al. 2017, Enhanced LSTM for natural
language inference, arXiv 1609.06038) without its second BiLSTM: the comparisons are pooled as they are, as in the
decomposable attention model (Parikh et al. 2016, arXiv 1606.01933).

It runs on the CPU: it is small, and LSTMs on a GPU do not repeat bit for bit.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from pipeline.core.config import BiLSTM
from pipeline.core.errors import InputError
from pipeline.models.early_stopping import EarlyStopping, LearningCurve
from pipeline.models.word_alignment import terms


class InteractiveBiLSTM(nn.Module):
    """BiLSTM with interactive attention that grades or scores pairs of texts, given as word numbers."""

    def __init__(self, words: int, outputs: int, settings: BiLSTM):
        """words: numbers in the vocabulary, padding included; settings: sizes and dropout are read."""
        super().__init__()
        hidden = settings.hidden
        self.embedding = nn.Embedding(words, settings.embedding, padding_idx=PADDING)
        self.dropout = nn.Dropout(settings.dropout)
        self.encoder = nn.LSTM(settings.embedding, hidden, batch_first=True, bidirectional=True)
        self.comparison = nn.Sequential(nn.Linear(4 * 2 * hidden, hidden), nn.ReLU())
        self.classifier = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(2 * 2 * hidden, hidden),
            nn.Tanh(),
            nn.Dropout(settings.dropout),
            nn.Linear(hidden, outputs),
        )

    def forward(self, query: Tensor, title: Tensor) -> Tensor:
        """Logits [pair, output] of queries and titles, int64 [pair, word] each, padded at the right."""
        in_query, in_title = query != PADDING, title != PADDING  # [pair, word]
        queries, titles = self._encode(query, in_query), self._encode(title, in_title)  # [pair, word, 2 hidden]
        scores = queries @ titles.mT  # [pair, query word, title word]
        of_query = self._compare(queries, _attend(scores, titles, in_title), in_query)
        of_title = self._compare(titles, _attend(scores.mT, queries, in_query), in_title)
        return self.classifier(torch.cat([of_query, of_title], dim=-1))

    def _encode(self, words: Tensor, present: Tensor) -> Tensor:
        """Each word in its context, [pair, word, 2 hidden]; packed, so that no state passes through the padding."""
        vectors = self.dropout(self.embedding(words))
        packed = pack_padded_sequence(vectors, present.sum(dim=1), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.encoder(packed)[0], batch_first=True)[0]

    def _compare(self, words: Tensor, aligned: Tensor, present: Tensor) -> Tensor:
        """[pair, 2 hidden] of words [pair, word, 2 hidden] and what each aligns with in the other text."""
        compared = self.comparison(self.dropout(torch.cat([words, aligned, words - aligned, words * aligned], dim=-1)))
        absent = ~present[:, :, None]
        mean = compared.masked_fill(absent, 0).sum(dim=1) / present.sum(dim=1, keepdim=True)
        highest = compared.masked_fill(absent, -torch.inf).amax(dim=1)
        return torch.cat([mean, highest], dim=-1)


def _attend(scores: Tensor, values: Tensor, present: Tensor) -> Tensor:
    """Soft alignment: the mean of `values` [pair, key, size] weighted by the softmax of scores [pair, query, key]."""
    return scores.masked_fill(~present[:, None, :], -torch.inf).softmax(dim=-1) @ values


PADDING, UNKNOWN = 0, 1
SPECIAL_WORDS = ("[PAD]", "[UNK]")  # no word holds a bracket
MIN_COUNT = 2  # words seen once stand for the unknown one, which is trained on them


@dataclass(frozen=True)
class WordPairs:
    """Query-title pairs as word numbers: int64 [word] per text, at least one word."""

    queries: list[torch.Tensor]
    titles: list[torch.Tensor]

    def __len__(self) -> int:
        return len(self.queries)

    def batch(self, pairs: Iterable[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries and titles of these pairs, int64 [pair, word] each, padded at the right to the longest."""
        chosen = list(pairs)
        return _padded([self.queries[pair] for pair in chosen]), _padded([self.titles[pair] for pair in chosen])


def build_word_vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Word -> number, for the words seen `MIN_COUNT` times; the padding and the unknown word come first."""
    counts = Counter(word for text in texts for word in terms(text))
    known = sorted(word for word, count in counts.items() if count >= MIN_COUNT)
    return {word: number for number, word in enumerate([*SPECIAL_WORDS, *known])}


def encode_words(vocabulary: dict[str, int], queries: Iterable[str], titles: Iterable[str]) -> WordPairs:
    """Encode the pairs as word numbers. A text without words is one unknown word, as an LSTM needs a step."""
    return WordPairs([_encode(vocabulary, text) for text in queries], [_encode(vocabulary, text) for text in titles])


def _encode(vocabulary: dict[str, int], text: str) -> torch.Tensor:
    return torch.tensor([vocabulary.get(word, UNKNOWN) for word in terms(text)] or [UNKNOWN])


def _padded(texts: list[torch.Tensor]) -> torch.Tensor:
    return pad_sequence(texts, batch_first=True, padding_value=PADDING)


TEXTS = ("query", "title")  # the model's arguments
MAX_NORM = 10.0  # of a step's gradient
PREDICTION_BATCH = 256  # pairs a batch


def train_bilstm(
    model: InteractiveBiLSTM,
    pairs: WordPairs,
    grades: np.ndarray,
    stopping: EarlyStopping,
    settings: BiLSTM,
    seed: int,
) -> LearningCurve:
    """Train a grader in place and leave it with the weights of its best epoch.

    Args:
        model: see `build_bilstm`.
        pairs: the training pairs; grades: int [pair].
        stopping: scores each epoch and says when training ends.
        settings: learning_rate and batch_size.
        seed: of the order of pairs and of dropout. The same seed gives the same weights, bit for bit.

    Raises:
        InputError: from a `stopping` that takes `bilstm_logits`: they are no longer finite.
    """
    targets = torch.from_numpy(grades.astype(np.int64))

    def loss(chosen: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(model(*pairs.batch(chosen.tolist())), targets[chosen])

    return _train(model, loss, len(pairs), settings.batch_size, stopping, settings.learning_rate, seed)


def train_ranking_bilstm(
    model: InteractiveBiLSTM,
    pairs: WordPairs,
    train: pd.DataFrame,
    objective: str,
    stopping: EarlyStopping,
    settings: BiLSTM,
    seed: int,
) -> LearningCurve:
    """`train_bilstm` of a ranker: of one output, by a finetune.objective's samples and loss.

    Args:
        train: the training split (columns grade and query_id); pairs: its pairs.

    Raises:
        InputError: as `train_bilstm`; the pairs have nothing that the objective could learn.
    """
    from pipeline.models import ranking_objectives as objectives  # its library takes seconds to import

    grades, query_ids = train["grade"].to_numpy(), train["query_id"].to_numpy()
    samples = objectives.ranking_samples(objective, query_ids, grades, settings.batch_size, seed)
    scorer = objectives.PairScorer(model, lambda chosen: dict(zip(TEXTS, pairs.batch(chosen), strict=True)))
    of_batch = objectives.ranking_loss(objective, objectives.as_cross_encoder(scorer, torch.device("cpu")))

    def loss(chosen: Tensor) -> Tensor:
        return of_batch(*samples.batch(chosen.tolist()))

    return _train(model, loss, len(samples), samples.per_step, stopping, settings.learning_rate, seed)


def build_bilstm(words: int, outputs: int, settings: BiLSTM, seed: int) -> InteractiveBiLSTM:
    """Build a model with random weights from `seed`, for word numbers below `words`; outputs as a grader or ranker."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return InteractiveBiLSTM(words, outputs, settings)


def bilstm_logits(model: InteractiveBiLSTM, pairs: WordPairs) -> np.ndarray:
    """Predict logits float32 [pair, output]; the model is left in evaluation mode.

    Raises:
        InputError: a logit is not finite.
    """
    model.eval()
    with torch.inference_mode():
        chunks = torch.arange(len(pairs)).split(PREDICTION_BATCH)
        logits = torch.cat([model(*pairs.batch(chunk.tolist())) for chunk in chunks]).numpy()
    if not np.isfinite(logits).all():
        raise InputError("the BiLSTM's logits are not finite: its training diverged, lower bilstm.learning_rate")
    return logits


def _train(
    model: InteractiveBiLSTM,
    loss: Callable[[Tensor], Tensor],
    samples: int,
    batch_size: int,
    stopping: EarlyStopping,
    learning_rate: float,
    seed: int,
) -> LearningCurve:
    """Train on the loss of batches of samples, given by number."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        while not stopping.is_over:
            stopping.end_epoch(model, _train_epoch(model, loss, optimizer, samples, batch_size))
    return stopping.restore_best(model)


def _train_epoch(
    model: InteractiveBiLSTM,
    loss_of: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    samples: int,
    batch_size: int,
) -> float:
    """One pass over the samples in random order; returns the mean loss of a step."""
    model.train()
    losses = []
    for chosen in torch.randperm(samples).split(batch_size):
        loss = loss_of(chosen)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))
