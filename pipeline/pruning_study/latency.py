"""What a model costs to serve: latency of batches by torch and by ONNX Runtime, and the size of its files."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.export.onnx_model import LOGITS, export_onnx, import_package, input_names
from pipeline.models.checkpoints import load_tuned
from pipeline.models.inference import collate
from pipeline.models.threads import torch_threads
from pipeline.models.tokenization import EncodedPairs, encode_split

BATCHES, THREADS = (1, 8, 32), (1, 2)  # pairs of a call, threads of the machine
CALLS = 60  # of each model and batch, in turn
WARM_UP = 3
COMPARED = 64  # pairs on which ONNX Runtime is compared with torch
CPU = torch.device("cpu")
Score = Callable[[dict[str, torch.Tensor]], np.ndarray]  # logits of a batch


def measure_latency(models: dict[str, Path], pairs: pd.DataFrame, max_length: int, folder: Path) -> dict[str, Any]:
    """Latencies of models over batches of pairs, called in turn, so that what else the machine does touches all alike.

    Args:
        models: name -> folder that `save_tuned` wrote.
        pairs: query and title, in an order without meaning; each batch is padded to its longest pair.
        folder: where the ONNX files are written, NAME.onnx.

    Returns:
        latency: a row for each model, runtime, batch and number of threads, milliseconds; sizes: bytes of each model's
        files; onnx_difference: largest difference of ONNX Runtime's logits from torch's, over the largest logit.
    """
    scores: dict[tuple[str, str, int], Score] = {}
    sizes, differences = {}, {}
    encoded, pad_id = None, 0
    for name, source in models.items():
        model, tokenizer = load_tuned(source, CPU)
        path = folder / f"{name}.onnx"
        export_onnx(model, tokenizer, path)
        encoded, pad_id = encode_split(tokenizer, pairs, max_length), tokenizer.pad_token_id
        names = input_names(model)
        sizes[name] = path.stat().st_size
        for threads in THREADS:
            scores[name, "torch", threads] = _torch_score(model, names)
            scores[name, "onnxruntime", threads] = _onnx_score(path, names, threads)
        differences[name] = _difference(
            scores[name, "torch", 1], scores[name, "onnxruntime", 1], collate(encoded, np.arange(COMPARED), pad_id, CPU)
        )
    assert encoded is not None, "there are models"
    rows = [
        {"model": name, "runtime": runtime, "threads": threads, "batch": batch, **_quantiles(seconds)}
        for threads in THREADS
        for batch in BATCHES
        for (name, runtime), seconds in _timed(scores, threads, encoded, batch, pad_id).items()
    ]
    return {"latency": rows, "sizes": sizes, "onnx_difference": differences}


def _timed(
    scores: dict[tuple[str, str, int], Score], threads: int, encoded: EncodedPairs, batch: int, pad_id: int
) -> dict[tuple[str, str], list[float]]:
    """Seconds of each call, by model and runtime."""
    called = {key[:2]: score for key, score in scores.items() if key[2] == threads}
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in called}
    rng = np.random.default_rng(0)
    with torch_threads(threads):
        for call in range(WARM_UP + CALLS):
            inputs = collate(encoded, rng.choice(len(encoded), batch, replace=False), pad_id, CPU)
            for key, score in called.items():
                start = time.perf_counter()
                score(inputs)
                if call >= WARM_UP:
                    seconds[key].append(time.perf_counter() - start)
    return seconds


def _quantiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{share}_ms": float(np.percentile(seconds, share)) * 1000 for share in (50, 95)}


def _torch_score(model: torch.nn.Module, names: list[str]) -> Score:
    @torch.inference_mode()
    def score(inputs: dict[str, torch.Tensor]) -> np.ndarray:
        return model(**{name: inputs[name] for name in names}).logits.numpy()

    return score


def _onnx_score(path: Path, names: list[str], threads: int) -> Score:
    onnxruntime = import_package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run([LOGITS], {name: inputs[name].numpy() for name in names})[0]


def _difference(score: Score, other: Score, inputs: dict[str, torch.Tensor]) -> float:
    expected = score(inputs)
    return float(np.abs(other(inputs) - expected).max() / np.abs(expected).max())
