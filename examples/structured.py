"""Data in, typed objects out: records as the context, a pydantic model as the answer, data from sub-calls.

The model is scripted here, so that the example runs anywhere; `get_adapter("openai:gpt-4.1")` takes its place.

    python examples/structured.py
"""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel

from pyrlm import RLM
from pyrlm.adapters import FakeAdapter

COMPLAINTS = [
    {"id": 1, "day": dt.date(2026, 3, 1), "text": "The lid broke on the first day."},
    {"id": 2, "day": dt.date(2026, 3, 9), "text": "Arrived two weeks late."},
    {"id": 3, "day": dt.date(2026, 4, 2), "text": "The lid does not close."},
]


class Topic(BaseModel):
    """What people complain about."""

    name: str
    complaints: list[int]
    latest: dt.date


STEPS = [
    """```python
kinds = llm_batch(["Which part or service is this about?\\n" + row["text"] for row in context], schema={"topic": "str"})
topics = {}
for row, kind in zip(context, kinds):
    topics.setdefault(kind["topic"], []).append(row)
print({name: len(rows) for name, rows in topics.items()})
```""",
    """```python
FINAL([{"name": name, "complaints": [row["id"] for row in rows]} for name, rows in topics.items()])
```""",
    """```python
FINAL([
    {"name": name, "complaints": [row["id"] for row in rows], "latest": max(row["day"] for row in rows)}
    for name, rows in topics.items()
])
```""",
]


def main() -> None:
    adapter = FakeAdapter(STEPS)
    adapter.add_rule("two weeks late.\n\nReply with JSON", '{"topic": "delivery"}')
    adapter.add_rule("You are a sub-LLM", '{"topic": "lid"}')
    result = RLM(adapter, output_schema=list[Topic]).run("What do people complain about?", COMPLAINTS)
    for topic in result.value:
        print(f"{topic.name}: complaints {topic.complaints}, the latest on {topic.latest:%d %B}")
    print("turned back on the way:", [step.error for step in result.trace.of_kind("guard")])
    print(result.output)


if __name__ == "__main__":
    main()
