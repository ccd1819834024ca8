"""Every exception that pyrlm raises, in one tree.

::

    PyRLMError
    ├── ConfigurationError (ValueError)      an option or an argument that can't be used
    │   └── PriceUnknownError                a money limit with a model of unknown price
    ├── NestedRunError (RuntimeError)        `run()` called where only `await arun()` can work
    ├── ModelError                           a model call failed for good
    │   ├── AuthenticationError              the key is missing, wrong or not allowed; never retried
    │   ├── ContextLengthError               the provider refused the prompt as too long
    │   ├── RateLimitError                   still refused as too many requests when the retry time was over
    │   ├── ModelUnavailableError            no connection, time-out or 5xx until the retry time was over
    │   └── BadReplyError                    the provider's reply could not be read
    ├── PolicyError                          a limit was met; carries `trace`, `output` and `result`
    │   ├── MaxStepsExceeded
    │   ├── MaxSubcallsExceeded
    │   ├── MaxRecursionExceeded
    │   ├── MaxTokensExceeded
    │   ├── MaxSubcallTokensExceeded
    │   ├── MaxCostExceeded
    │   ├── MaxSecondsExceeded
    │   ├── InvalidRepliesExceeded           replies with neither code nor answer, too many in a row
    │   └── RunStalled                       the same code with the same outcome, again and again
    ├── ReplError                            the REPL itself failed (code that fails is no exception here)
    │   ├── ReplUnavailableError             it can't be started on this machine, or not with this isolation
    │   ├── ReplCrashedError                 the worker died, lied or was killed
    │   └── WireError (TypeError)            a value can't cross the boundary; says which and why
    ├── CheckpointError                      the file of a durable run can't be used, or its run has come out differently
    ├── RetrieverError                       a search, a read or an indexing step failed; says why
    └── MCPError                             an MCP server failed, or one that is required did not start

Messages never hold an API key: text from a provider goes through `pyrlm.redact.redact` first.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the worker of the REPL loads this module, and `typing` costs 3 ms of its start
if TYPE_CHECKING:
    from pyrlm.result import RunResult
    from pyrlm.trace import Trace

__all__ = [
    "AuthenticationError",
    "BadReplyError",
    "CheckpointError",
    "ConfigurationError",
    "ContextLengthError",
    "InvalidRepliesExceeded",
    "MCPError",
    "MaxCostExceeded",
    "MaxRecursionExceeded",
    "MaxSecondsExceeded",
    "MaxStepsExceeded",
    "MaxSubcallTokensExceeded",
    "MaxSubcallsExceeded",
    "MaxTokensExceeded",
    "ModelError",
    "ModelUnavailableError",
    "NestedRunError",
    "PolicyError",
    "PriceUnknownError",
    "PyRLMError",
    "RateLimitError",
    "ReplCrashedError",
    "ReplError",
    "ReplUnavailableError",
    "RetrieverError",
    "RunStalled",
    "WireError",
]


class PyRLMError(Exception):
    """Base of all errors raised by pyrlm.

    Attributes:
        trace: The `Trace` of the run that ended with this error; None outside of a run.
        result: What the run had when it ended: best answer so far, usage, cost, trace; None outside of a run.
    """

    trace: Trace | None = None
    result: RunResult | None = None

    @property
    def output(self) -> str:
        """Best answer so far; an empty string where there is none."""
        return self.result.output if self.result is not None else ""


class ConfigurationError(PyRLMError, ValueError):
    """An option or argument can't be used; the message names what was given, what is expected and what to do."""


class PriceUnknownError(ConfigurationError):
    """`max_cost_usd` was set and the price of a model is not known; nothing was spent."""


class NestedRunError(PyRLMError, RuntimeError):
    """A synchronous `run()` was called from the loop that would have to serve it; use `await arun()` there."""


class ModelError(PyRLMError):
    """A model call failed for good.

    Attributes:
        model: Name of the model that was asked, where known.
        status: HTTP status of the last reply; None where there was none.
        attempts: Number of requests made, retries included.
    """

    def __init__(self, message: str, *, model: str | None = None, status: int | None = None, attempts: int = 1) -> None:
        super().__init__(message)
        self.model = model
        self.status = status
        self.attempts = attempts


class AuthenticationError(ModelError):
    """The key is missing, wrong or not allowed to use this model. Not retried."""


class ContextLengthError(ModelError):
    """The provider refused the prompt as longer than the model can take in.

    Attributes:
        limit: The model's limit in tokens, where the provider's message tells it.
    """

    def __init__(
        self,
        message: str,
        *,
        model: str | None = None,
        status: int | None = None,
        attempts: int = 1,
        limit: int | None = None,
    ) -> None:
        super().__init__(message, model=model, status=status, attempts=attempts)
        self.limit = limit


class RateLimitError(ModelError):
    """Refused as too many requests (or quota used up) until the retry time was over."""


class ModelUnavailableError(ModelError):
    """No connection, a time-out or a 5xx answer until the retry time was over."""


class BadReplyError(ModelError):
    """The provider answered with something that is no reply: cut or malformed JSON, no choices."""


class PolicyError(PyRLMError):
    """A limit of a run was met.

    Nothing that was paid for is lost: `trace`, `output` and `result` carry what the run had.

    Attributes:
        limit: Name of the option that was met, such as ``"max_steps"``.
    """

    limit: str = ""


class MaxStepsExceeded(PolicyError):  # noqa: N818 - the established name in this family of tools
    """`Policy.max_steps` root calls were made without a final answer."""

    limit = "max_steps"


class MaxSubcallsExceeded(PolicyError):  # noqa: N818
    """`Policy.max_subcalls` sub-calls were made."""

    limit = "max_subcalls"


class MaxRecursionExceeded(PolicyError):  # noqa: N818
    """A sub-agent was asked for below `Policy.max_recursion_depth`."""

    limit = "max_recursion_depth"


class MaxTokensExceeded(PolicyError):  # noqa: N818
    """The next call could pass `Policy.max_total_tokens`."""

    limit = "max_total_tokens"


class MaxSubcallTokensExceeded(PolicyError):  # noqa: N818
    """The next sub-call could pass `Policy.max_subcall_tokens`."""

    limit = "max_subcall_tokens"


class MaxCostExceeded(PolicyError):  # noqa: N818
    """The next call could pass `Policy.max_cost_usd`."""

    limit = "max_cost_usd"


class MaxSecondsExceeded(PolicyError):  # noqa: N818
    """`Policy.max_seconds` of wall time are over."""

    limit = "max_seconds"


class InvalidRepliesExceeded(PolicyError):  # noqa: N818
    """`invalid_response_limit` replies in a row held neither code nor a final answer."""

    limit = "invalid_response_limit"


class RunStalled(PolicyError):  # noqa: N818
    """The model ran the same code with the same outcome again and again."""

    limit = "stalled"


class ReplError(PyRLMError):
    """The REPL itself failed; code that fails inside it is reported as text, not raised."""


class ReplUnavailableError(ReplError):
    """The REPL can't be started on this machine, or not with the isolation that was asked for."""


class ReplCrashedError(ReplError):
    """The worker died, broke the protocol or had to be killed; its variables are lost."""


class WireError(ReplError, TypeError):
    """A value can't cross between host and REPL; the message names the value's type and its place."""


class CheckpointError(PyRLMError):
    """The file of a durable run can't be used, or resuming it came out differently; the message names what differs."""


class RetrieverError(PyRLMError):
    """A search, a read or an indexing step failed; the message names the cause.

    Attributes:
        retryable: Whether the same call may work a moment later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class MCPError(PyRLMError):
    """An MCP server failed or refused a call, or one that is required did not start; the message names the server."""
