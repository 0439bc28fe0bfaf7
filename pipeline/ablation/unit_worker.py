"""What a worker process holds: the model, loaded once, and the engines on it."""

import torch
from transformers import PreTrainedModel

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.precision import Precision
from pipeline.ablation.workers import Arrays, Task


class UnitWorker:
    """Evaluator of tasks on a model, by `threads` threads of torch; the results' last bits depend on their number."""

    def __init__(self, model: PreTrainedModel, threads: int):
        torch.set_num_threads(threads)
        self._model = model
        self._encoders: dict[Precision, AblatableEncoder] = {}

    def evaluate(self, task: Task) -> Arrays:
        """Results of a task, see `AblationEngine.evaluate_unit`."""
        if task.precision not in self._encoders:
            self._encoders[task.precision] = AblatableEncoder.from_pretrained_model(self._model, task.precision)
        return AblationEngine(self._encoders[task.precision], task.batch_tokens).evaluate_unit(task.unit)
