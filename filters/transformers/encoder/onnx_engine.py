"""The encoder on the CPU: ONNX Runtime, one thread a batch, as many batches at a time as there are threads.

A token's activations become whole numbers by a scale of the token's own, and products of whole numbers are
exact, so that a text has the same scores in whatever batch it is (docs/transformers.md has the bound).
Batches hold texts of one length: no padding, no mask.
"""

import os
import platform
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sluice.filters.batch import Scores
from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError

IDS, SCORES = "ids", "scores"
"""What the graph reads, (B, W) int64, and gives, (B, L) float32."""
THREADS = "OMP_NUM_THREADS"
EXACT_PRODUCTS = "session.x64quantprecision"
"""ONNX Runtime's option for products of whole numbers that cannot overflow, at 2.5 times the price."""
CPU = Path("/proc/cpuinfo")


def overflows() -> bool:
    """Returns whether sums of two products of 8 bits overflow here: on x86 without VNNI they have 16."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    return not CPU.is_file() or not {"avx512_vnni", "avx_vnni"} & set(CPU.read_text().split())


class OnnxForward:
    """The encoder's graph, called with batches without padding.

    Args:
        graph: encoder.onnx, beside the file of its weights.
        threads: batches that are scored at a time; None for `OMP_NUM_THREADS`, or all cores.

    Attributes:
        device: "cpu".
        dtype: what products are computed in.
        multiple: None, as no batch is padded.

    Raises:
        InputError: ONNX Runtime cannot read the graph.
    """

    def __init__(self, graph: Path, *, threads: int | None):
        import onnxruntime

        self.device, self.dtype = "cpu", "int8"
        self.multiple: int | None = None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry(EXACT_PRODUCTS, "1" if overflows() else "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(graph), options, providers=["CPUExecutionProvider"]
            )
        except Exception as failure:  # ONNX Runtime's errors have no base of their own
            raise InputError(f"{graph}: ONNX Runtime cannot read it: {failure}") from failure
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        at_once = threads or int(os.environ.get(THREADS) or 0) or cores
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="encode")

    def __call__(self, ids_BW: Array, lengths_B: Array) -> "Future[Scores]":
        """Returns (B, L) float32 scores, in the making.

        Args:
            ids_BW: (B, W) int64 pieces.
            lengths_B: (B,) all W.
        """
        return self._threads.submit(self._scores, ids_BW)

    def _scores(self, ids_BW: Array) -> Scores:
        scores_BL: Scores = self._session.run([SCORES], {IDS: ids_BW})[0]
        return scores_BL

    def gathered(self, batches: "Sequence[Future[Scores]]") -> Scores:
        """Returns (N, L) float32, the scores of batches, one behind the other."""
        return np.concatenate([batch.result() for batch in batches])
