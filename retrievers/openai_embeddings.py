"""Embeddings from OpenAI, or from any server that speaks its protocol."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from pyrlm.errors import RetrieverError
from pyrlm.redact import redact, register_secret
from pyrlm.tokens import counter_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from openai import OpenAI

__all__ = ["OpenAIEmbedder"]

MAX_INPUTS: Final = 2_048
MAX_REQUEST_TOKENS: Final = 300_000
MAX_INPUT_TOKENS: Final = 8_192
DIMENSIONS: Final = {"text-embedding-3-small": 1_536, "text-embedding-3-large": 3_072, "text-embedding-ada-002": 1_536}
HOME: Final = "api.openai.com"
AUTHENTICATION: Final = frozenset({401, 403})


class OpenAIEmbedder:
    """Embeds by requests of at most 2,048 inputs and 300,000 tokens, several at a time.

    Args:
        model: Name of the embedding model.
        api_key: The key; None: the environment's ``OPENAI_API_KEY``.
        base_url: Another server's address, such as ``http://localhost:11434/v1``; None: OpenAI, or the environment's
            ``OPENAI_BASE_URL``.
        dimensions: Numbers in a vector, for models that can shorten theirs; None: the model's own, found out by one
            request where it isn't known.
        max_tokens: Tokens of an input; longer ones are cut.
        timeout: Seconds for one request.
        max_retries: Further tries after 408, 409, 429, 5xx and connection failures, with growing pauses.
        concurrency: Requests at a time.
    """

    batch_size = 1_024
    """Passages that an index hands over at once."""

    def __init__(
        self,
        model: str = "text-embedding-3-small",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        max_tokens: int = MAX_INPUT_TOKENS,
        timeout: float = 60.0,
        max_retries: int = 6,
        concurrency: int = 4,
    ) -> None:
        register_secret(api_key)
        self.model = model
        self.max_tokens = max_tokens
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self._server = _address(self._base_url)
        self._wanted = dimensions
        self._dimensions = dimensions or DIMENSIONS.get(model)
        self._options = {"api_key": api_key, "base_url": self._base_url, "timeout": timeout, "max_retries": max_retries}
        self._concurrency = concurrency
        self._counter = counter_for(model)
        self._client: OpenAI | None = None
        self._lock = threading.Lock()
        self.used_tokens = 0

    @property
    def name(self) -> str:
        """The model, and its server where that is not OpenAI's: ``openai:MODEL`` or ``openai:MODEL@URL``.

        An index keeps it, so that the same server is asked again, and takes any server of the same model. It holds no
        credentials.
        """
        return f"openai:{self.model}@{self._server}" if self._server else f"openai:{self.model}"

    @property
    def dimensions(self) -> int:
        """Numbers in a vector. May ask the server once."""
        if self._dimensions is None:
            self._dimensions = len(self._request(["dimensions"])[0])
        return self._dimensions

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Make one vector for each text: float32 of shape ``(n, dimensions)``.

        Raises:
            RetrieverError: The server refused, could not be reached for the whole of the retries, or answered with
                something else than one vector for each text.
        """
        import numpy as np  # noqa: PLC0415

        batches = list(self._batches([self._cut(text) for text in texts]))
        if len(batches) == 1:
            found = [self._request(batches[0])]
        else:
            with ThreadPoolExecutor(self._concurrency) as pool:
                found = list(pool.map(self._request, batches))
        rows = [row for rows in found for row in rows]
        return np.array(rows, dtype=np.float32).reshape(len(texts), -1)

    def _cut(self, text: str) -> str:
        text = text.encode(errors="replace").decode()
        if not text.strip():
            return "."
        # A text has no more tokens than bytes; only longer ones are counted.
        while len(text) * 4 > self.max_tokens and (bound := self._counter.upper_bound(text)) > self.max_tokens:
            text = text[: min(len(text) - 1, len(text) * self.max_tokens // bound)]
        return text

    def _batches(self, texts: list[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        size = 0
        for text in texts:
            tokens = min(len(text.encode()), self.max_tokens)
            if batch and (len(batch) == MAX_INPUTS or size + tokens > MAX_REQUEST_TOKENS):
                yield batch
                batch, size = [], 0
            batch.append(text)
            size += tokens
        if batch:
            yield batch

    def _request(self, texts: list[str]) -> list[list[float]]:
        import openai  # noqa: PLC0415 - costs half a second

        options = {} if self._wanted is None else {"dimensions": self._wanted}
        try:
            reply = self._connected().embeddings.create(
                model=self.model, input=texts, encoding_format="float", extra_body=options
            )
        except openai.APIStatusError as error:
            raise self._error(f"{error.status_code}: {error.message}", error.status_code) from None
        except openai.OpenAIError as error:
            raise self._error(f"{type(error).__name__}: {error}", None) from None
        vectors = {item.index: item.embedding for item in reply.data or []}
        if sorted(vectors) != list(range(len(texts))) or len(reply.data) != len(texts):
            raise self._error(f"{len(reply.data or [])} vectors came back for {len(texts)} texts", None)
        with self._lock:
            self.used_tokens += reply.usage.total_tokens if reply.usage else 0
        return [vectors[place] for place in range(len(texts))]

    def _connected(self) -> OpenAI:
        import openai  # noqa: PLC0415

        with self._lock:
            if self._client is None:
                self._client = openai.OpenAI(**self._options)  # type: ignore[arg-type]  # one table of options
                register_secret(self._client.api_key)
            return self._client

    def _error(self, cause: str, status: int | None) -> RetrieverError:
        where = f" at {self._server}" if self._server else ""
        help_ = "; check the key (OPENAI_API_KEY) and its rights" if status in AUTHENTICATION else ""
        return RetrieverError(redact(f"embedding with {self.model}{where} failed: {cause}{help_}"))


def _address(url: str | None) -> str:
    """An address without user, password and query; an empty string for OpenAI's own."""
    parts = urlsplit(url or "")
    register_secret(unquote(parts.password or ""))
    host = parts.netloc.rpartition("@")[2]
    if not host or parts.hostname == HOME:
        return ""
    return redact(f"{parts.scheme}://{host}{parts.path.rstrip('/')}")
