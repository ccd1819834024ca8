r"""Prelude pieces for threads and executors, in Monty's Python: each thread is a task (`monty_prelude_async`)."""

from __future__ import annotations

PIECES = {
    "_pyrlm_mod_threading": r"""
class _pyrlm_Thread:
    def __init__(self, group=None, target=None, name=None, args=(), kwargs=None, daemon=None):
        self.target, self.args, self.kwargs, self.name, self.daemon = target, args, kwargs or {}, name or 'Thread-1', daemon
        self.task = None
    def start(self):
        self.task = _pyrlm_Task()
        _pyrlm_spawn(_pyrlm_threaded(self.task, self.target, self.args, self.kwargs))
        self.task.add_done_callback(self.report)
    def report(self, t):
        if t.error is not None and not isinstance(t.error, SystemExit):
            e = _pyrlm_unwrap(t.error)
            print('Exception in thread ' + self.name + ': ' + type(e).__name__ + ': ' + str(e))
    def join(self, timeout=None):
        if not self.task.over:
            try:
                _pyrlm_aio.run(_pyrlm_until(self.task, timeout))
            except TimeoutError:
                pass
    def is_alive(self):
        return self.task is not None and not self.task.done()
class _pyrlm_Lock:
    def __init__(self):
        self.held = _pyrlm_Semaphore(1)
    def acquire(self, blocking=True, timeout=-1):
        if self.held.free > 0:
            self.held.free -= 1
            return True
        if not blocking:
            return False
        return _pyrlm_aio.run(self.held.take(None if timeout < 0 else timeout))
    def release(self):
        self.held.release()
    def locked(self):
        return self.held.locked()
    def __enter__(self):
        return self.acquire()
    def __exit__(self, kind, e, tb):
        self.release()
        return False
class _pyrlm_RLock:
    def acquire(self, blocking=True, timeout=-1):
        return True
    def release(self):
        return None
    def __enter__(self):
        return True
    def __exit__(self, kind, e, tb):
        return False
class _pyrlm_mod_threading:
    Thread = _pyrlm_Thread
    Lock = _pyrlm_Lock
    RLock = _pyrlm_RLock
""",
    "_pyrlm_Executor": r"""
async def _pyrlm_threaded(t, f, a, k):
    if t.over:
        return None
    t.began = True
    try:
        value = f(*a, **k)
    except (Exception, KeyboardInterrupt, SystemExit) as e:
        t.end(None, e)
        if isinstance(e, SystemExit):
            raise
    else:
        t.end(value, None)
async def _pyrlm_worker(executor):
    while executor.queue:
        await _pyrlm_threaded(*executor.queue.pop(0))
    executor.busy -= 1
class _pyrlm_Results:
    def __init__(self, tasks):
        self.tasks = tasks
    def __iter__(self):
        return self
    def __next__(self):
        if not self.tasks:
            raise StopIteration
        return self.tasks.pop(0).outcome()
class _pyrlm_Executor:
    def __init__(self, max_workers=None, **kw):
        self.most = max_workers or 32
        self.busy = 0
        self.queue = []
        self.tasks = []
        self.step = _pyrlm_step
    def submit(self, f, *a, **k):
        if self.step is not _pyrlm_step:
            self.step, self.busy, self.queue, self.tasks = _pyrlm_step, 0, [], []
        t = _pyrlm_Task()
        self.tasks.append(t)
        self.queue.append((t, f, a, k))
        if self.busy < self.most:
            self.busy += 1
            _pyrlm_spawn(_pyrlm_worker(self))
        return t
    def map(self, f, *its, timeout=None, chunksize=1):
        tasks = [self.submit(f, *a) for a in zip(*[list(i) for i in its])]
        _pyrlm_aio.run(_pyrlm_all_over(tasks, timeout))
        return _pyrlm_Results(tasks)
    def shutdown(self, wait=True, cancel_futures=False):
        for t in self.tasks:
            if cancel_futures and not t.began:
                t.cancel()
        if wait:
            _pyrlm_aio.run(_pyrlm_all_over(self.tasks))
    def __enter__(self):
        return self
    def __exit__(self, kind, e, tb):
        self.shutdown()
        return False
async def _pyrlm_all_over(tasks, timeout=None):
    for t in tasks:
        await _pyrlm_until(t, timeout)
""",
    "_pyrlm_mod_concurrent_futures": r"""
class _pyrlm_mod_concurrent_futures:
    ThreadPoolExecutor = _pyrlm_Executor
    ProcessPoolExecutor = _pyrlm_Executor
    Future = _pyrlm_Task
    TimeoutError = TimeoutError
    CancelledError = _pyrlm_cancelled
    ALL_COMPLETED = 'ALL_COMPLETED'
    FIRST_COMPLETED = 'FIRST_COMPLETED'
    FIRST_EXCEPTION = 'FIRST_EXCEPTION'
    def as_completed(fs, timeout=None):
        order = []
        fs = list(fs)
        for t in fs:
            t.add_done_callback(lambda t: order.append(t))
        _pyrlm_aio.run(_pyrlm_all_over(fs, timeout))
        return iter(order)
    def wait(fs, timeout=None, return_when='ALL_COMPLETED'):
        return _pyrlm_aio.run(_pyrlm_mod_asyncio.wait(fs, timeout, return_when))
""",
    "_pyrlm_mod_concurrent": "class _pyrlm_mod_concurrent:\n    futures = _pyrlm_mod_concurrent_futures\n",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
