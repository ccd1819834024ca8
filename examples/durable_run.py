"""A run that outlives its process: killed in the middle, resumed from its file, with no call made twice.

    python examples/durable_run.py
    python examples/durable_run.py --model openai:gpt-4.1 --checkpoint run.db notes.md

Without a model it shows a crash: a child process is killed while the third reply is under way (`FakeAdapter` plays the
model), and this process goes on from the file. With a model it runs over the files, or goes on where that was stopped:
start it again after Ctrl-C, a kill or a reboot.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pyrlm import RLM, Context, RunResult
from pyrlm.adapters import FakeAdapter, get_adapter
from pyrlm.errors import CheckpointError, PyRLMError

TEXT = "\n".join(f"Parcel {n}: {'lost' if n % 7 == 3 else 'delivered'}, fee {n * 3} euros." for n in range(60))
QUESTION = "What do the lost parcels cost together?"
STEPS = [
    "```python\nlost = [line for line in P.splitlines() if 'lost' in line]\nprint(len(lost), lost[0])\n```",
    "```python\nimport re\nfees = [int(re.search(r'fee (\\d+)', line).group(1)) for line in lost]\nprint(sum(fees))\n```",
    "```python\nFINAL(f'{len(lost)} parcels, {sum(fees)} euros')\n```",
]


class Calls:
    """Plays the model, counts its calls, and kills this process when it is asked for the last step."""

    model, endpoint, context_window = "scripted", "", 100_000

    def __init__(self, *, dies: bool) -> None:
        self.made = 0
        self._dies = dies

    def complete(self, messages: list[dict[str, str]], max_tokens: int, temperature: float | None) -> object:
        """Answer with the step that follows the ones that have been taken."""
        self.made += 1
        taken = sum(message["role"] == "assistant" for message in messages)
        if self._dies and taken == len(STEPS) - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return FakeAdapter([STEPS[taken]]).complete(messages, max_tokens, temperature)


def shown(result: RunResult) -> None:
    """Print the answer, and what was given back by the file."""
    again = sum(bool(step.data.get("replayed")) for step in result.trace)
    print(f"{result.output}")
    print(f"{result.steps} steps, {result.usage.total_tokens} tokens in all; {again} events from the file")


def demonstrate(path: Path) -> None:
    """Let a process die in the middle of a run, and go on from its file."""
    child = subprocess.run([sys.executable, __file__, "--checkpoint", str(path), "--die"], check=False)  # noqa: S603 - this file, run by this interpreter
    print(f"The first process ended with {signal.Signals(-child.returncode).name}.")
    model = Calls(dies=False)
    shown(RLM(model).resume(path))
    print(f"The second process made {model.made} call of {len(STEPS)}.")


def run_or_go_on(model: str, path: Path, question: str, files: list[str]) -> RunResult:
    """Begin a run, or go on with the one in the file."""
    rlm = RLM(get_adapter(model))
    try:
        return rlm.resume(path)
    except CheckpointError as error:
        print(f"a new run ({error})", file=sys.stderr)
        return rlm.run(question, Context.from_files(files) if files else TEXT, checkpoint=path)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--die", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    try:
        if arguments.die:
            RLM(Calls(dies=True)).run(QUESTION, TEXT, checkpoint=arguments.checkpoint)
        elif arguments.model:
            path = arguments.checkpoint or Path("run.db")
            shown(run_or_go_on(arguments.model, path, arguments.question, arguments.files))
        else:
            with tempfile.TemporaryDirectory() as folder:
                demonstrate(arguments.checkpoint or Path(folder) / "run.db")
    except PyRLMError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
