"""Keeps secrets out of what other libraries log: addresses, requests, lines that they could not read."""

from __future__ import annotations

import logging
import traceback

from pyrlm.redact import redact

__all__ = ["keep_logs_clean"]


class _Redacting(logging.Filter):
    """Takes registered secrets out of a message and out of the traceback behind it."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        clean = redact(said)
        if clean != said:
            record.msg, record.args = clean, ()
        if record.exc_info:
            told = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            if redact(told) != told:
                record.exc_info, record.exc_text = None, redact(told)
        return True


_redacting = _Redacting()


def keep_logs_clean(*loggers: str) -> None:
    """Take registered secrets out of what these loggers are given from now on."""
    for name in loggers:
        logging.getLogger(name).addFilter(_redacting)  # the same one again adds nothing
