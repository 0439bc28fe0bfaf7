"""The article's baseline: a BiLSTM with interactive attention.

Query and title are encoded by one BiLSTM; each word is compared with the words of the other text that it aligns with,
and the comparisons are pooled. That is the local inference of ESIM (Chen et al. 2017, Enhanced LSTM for natural
language inference, arXiv 1609.06038) without its second BiLSTM: the comparisons are pooled as they are, as in the
decomposable attention model (Parikh et al. 2016, arXiv 1606.01933).
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pipeline.model.words import PADDING
from pipeline.params import Baseline


class InteractiveBiLSTM(nn.Module):
    """Grades pairs of texts given as word numbers."""

    def __init__(self, words: int, grades: int, settings: Baseline):
        """words: numbers in the vocabulary, padding included; grades: outputs; settings: sizes and dropout are read."""
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
            nn.Linear(hidden, grades),
        )

    def forward(self, query: Tensor, title: Tensor) -> Tensor:
        """Logits [pair, grade] of queries and titles, int64 [pair, word] each, padded at the right."""
        in_query, in_title = query != PADDING, title != PADDING  # [pair, word]
        queries, titles = self._encode(query, in_query), self._encode(title, in_title)  # [pair, word, 2 hidden]
        scores = queries @ titles.mT  # [pair, query word, title word]
        pooled = torch.cat(
            [
                self._compare(queries, _attend(scores, titles, in_title), in_query),
                self._compare(titles, _attend(scores.mT, queries, in_query), in_title),
            ],
            dim=-1,
        )  # [pair, 4 hidden]
        return self.classifier(pooled)

    def _encode(self, words: Tensor, present: Tensor) -> Tensor:
        """Each word in its context, [pair, word, 2 hidden]; packed, so that no state passes through the padding."""
        vectors = self.dropout(self.embedding(words))
        packed = pack_padded_sequence(vectors, present.sum(dim=1), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.encoder(packed)[0], batch_first=True)[0]

    def _compare(self, own: Tensor, other: Tensor, present: Tensor) -> Tensor:
        """[pair, 2 hidden] of words [pair, word, 2 hidden] and what each aligns with in the other text."""
        compared = self.comparison(self.dropout(torch.cat([own, other, own - other, own * other], dim=-1)))
        absent = ~present[:, :, None]
        mean = compared.masked_fill(absent, 0).sum(dim=1) / present.sum(dim=1, keepdim=True)
        highest = compared.masked_fill(absent, -torch.inf).amax(dim=1)
        return torch.cat([mean, highest], dim=-1)


def _attend(scores: Tensor, values: Tensor, present: Tensor) -> Tensor:
    """Soft alignment: the mean of `values` [pair, key, size] weighted by the softmax of scores [pair, query, key]."""
    return scores.masked_fill(~present[:, None, :], -torch.inf).softmax(dim=-1) @ values
