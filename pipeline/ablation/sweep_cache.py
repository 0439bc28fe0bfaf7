"""Cache of the finished units of a sweep, by which a killed sweep resumes."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from transformers import PreTrainedModel

from pipeline.core.errors import InputError
from pipeline.core.formats import read_safetensors, write_safetensors

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class SweepCache:
    """Units' results as files of one folder, whose name is the key of everything that decides their content."""

    folder: Path

    def part(self, name: str) -> Self:
        """The cache of another cut of the same sweep into units."""
        return type(self)(self.folder / name)

    def load(self, number: int) -> Arrays | None:
        """The unit's arrays if it was finished and can be read."""
        try:
            return read_safetensors(self._file(number))
        except InputError:  # missing, or damaged and computed again
            return None

    def save(self, number: int, arrays: Arrays) -> None:
        write_safetensors(self._file(number), arrays)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number}.safetensors"


@contextmanager
def disk_cache(folder: Path, name: str) -> Iterator[SweepCache]:
    """Units in the folder's part `name`, so that none of another sweep's is taken; all go once this one is done."""
    yield SweepCache(folder / name)
    shutil.rmtree(folder, ignore_errors=True)


def sweep_key(model: PreTrainedModel, settings: str, *arrays: np.ndarray) -> str:
    """Cache key of a sweep: sha256 of settings, configuration, weights, and the arrays with shapes and types."""
    digest = hashlib.sha256(f"{settings} {sorted(model.config.to_dict().items(), key=str)}".encode())
    weights = {name: tensor.detach().float().cpu().numpy() for name, tensor in model.state_dict().items()}
    for name, array in [*sorted(weights.items()), *((str(number), array) for number, array in enumerate(arrays))]:
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
