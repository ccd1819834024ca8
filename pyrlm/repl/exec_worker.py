"""The worker process of the `exec` backend: ``python -P -s -S exec_worker.py READ_FD WRITE_FD HOST_PID``.

It loads the few modules of pyrlm that it shares with the host by their path, without `pyrlm/__init__.py` and with nothing
of site-packages in reach, and hands over to `worker_main`. Kept short: a script is compiled anew at each start.
"""

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs 3 ms of the start
for name, folder in (("pyrlm", os.path.dirname(here)), ("pyrlm.repl", here)):  # noqa: PTH120
    package = type(sys)(name)
    package.__path__ = [folder]
    sys.modules[name] = package

from pyrlm.repl.worker_main import serve  # noqa: E402 - found by the paths set above

serve(*map(int, sys.argv[1:]))
