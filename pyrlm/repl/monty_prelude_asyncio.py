r"""Prelude pieces for `asyncio`, in Monty's Python, out of the tasks of `monty_prelude_async`."""

from __future__ import annotations

PIECES = {
    "_pyrlm_AsyncEvent": r"""
class _pyrlm_AsyncEvent:
    def __init__(self):
        self.on = False
        self.waiters = []
    def set(self):
        self.on = True
        waiters, self.waiters = self.waiters, []
        if waiters:
            _pyrlm_set(*waiters)
    def clear(self):
        self.on = False
    def is_set(self):
        return self.on
    async def wait(self):
        while not self.on:
            key = _pyrlm_key()
            self.waiters.append(key)
            await _pyrlm_event(key, None)
        return True
class _pyrlm_AsyncQueue:
    def __init__(self, maxsize=0):
        self.items = []
        self.here = _pyrlm_Semaphore(0)
        self.room = _pyrlm_Semaphore(maxsize) if maxsize > 0 else None
        self.open = 0
        self.idle = _pyrlm_AsyncEvent()
        self.idle.set()
    async def put(self, x):
        if self.room is not None:
            await self.room.take()
        self.put_nowait(x)
    def put_nowait(self, x):
        self.items.append(x)
        self.open += 1
        self.idle.clear()
        self.here.release()
    async def get(self):
        await self.here.take()
        return self.taken()
    def get_nowait(self):
        if self.here.free <= 0:
            raise IndexError('the queue is empty')
        self.here.free -= 1
        return self.taken()
    def taken(self):
        if self.room is not None:
            self.room.release()
        return self.items.pop(0)
    def task_done(self):
        self.open -= 1
        if self.open <= 0:
            self.idle.set()
    async def join(self):
        await self.idle.wait()
    def empty(self):
        return not self.items
    def qsize(self):
        return len(self.items)
""",
    "_pyrlm_TaskGroup": r"""
class _pyrlm_TaskGroup:
    def __init__(self):
        self.tasks = []
    def create_task(self, co, name=None, context=None):
        t = _pyrlm_task(co, name)
        self.tasks.append(t)
        return t
    async def __aenter__(self):
        return self
    async def __aexit__(self, kind, e, tb):
        for t in self.tasks:
            if kind is not None:
                t.cancel()
            await _pyrlm_until(t)
        for t in self.tasks:
            if kind is None and t.error is not None and not t.stopped:
                raise t.error
        return False
""",
    "_pyrlm_mod_asyncio": r"""
class _pyrlm_Loop:
    def run_until_complete(self, x):
        return _pyrlm_aio.run(_pyrlm_awaitable(x))
    def run_in_executor(self, executor, f, *a):
        return (executor or _pyrlm_Executor()).submit(f, *a)
    def create_task(self, x, name=None, context=None):
        return _pyrlm_task(x, name)
    def is_running(self):
        return False
    def is_closed(self):
        return False
    def close(self):
        return None
_pyrlm_loop = _pyrlm_Loop()
def _pyrlm_get_loop():
    return _pyrlm_loop
async def _pyrlm_noted(x, failed):
    try:
        return await x
    except Exception as e:
        failed.append(e)
        raise
async def _pyrlm_gathered(made):
    # what Monty's gather raises is a copy, which an exception of the code would not be known by
    failed = []
    try:
        return await _pyrlm_aio.gather(*[_pyrlm_noted(x, failed) for x in made])
    except Exception:
        if not failed:
            raise
    raise failed[0]
async def _pyrlm_first(waiters, over, i):
    while len(over) <= i:
        key = _pyrlm_key()
        waiters.append(key)
        await _pyrlm_event(key, None)
    return over[i].outcome()
class _pyrlm_mod_asyncio:
    Task = _pyrlm_Task
    Future = _pyrlm_Task
    Semaphore = _pyrlm_Semaphore
    BoundedSemaphore = _pyrlm_Semaphore
    Lock = _pyrlm_Semaphore
    Event = _pyrlm_AsyncEvent
    Queue = _pyrlm_AsyncQueue
    QueueEmpty = IndexError
    TaskGroup = _pyrlm_TaskGroup
    TimeoutError = TimeoutError
    CancelledError = _pyrlm_cancelled
    FIRST_COMPLETED = 'FIRST_COMPLETED'
    FIRST_EXCEPTION = 'FIRST_EXCEPTION'
    ALL_COMPLETED = 'ALL_COMPLETED'
    create_task = _pyrlm_task
    ensure_future = _pyrlm_task
    get_event_loop = _pyrlm_get_loop
    get_running_loop = _pyrlm_get_loop
    new_event_loop = _pyrlm_get_loop
    def set_event_loop(loop):
        return None
    def run(x, **kw):
        return _pyrlm_aio.run(_pyrlm_awaitable(x))
    def iscoroutine(x):
        return type(x) is _pyrlm_coroutine
    def gather(*a, return_exceptions=False):
        global _pyrlm_side
        _pyrlm_side = True
        made = [_pyrlm_awaitable(x) for x in a]
        return _pyrlm_aio.gather(*[_pyrlm_kept(x) for x in made]) if return_exceptions else _pyrlm_gathered(made)
    def shield(x):
        return _pyrlm_awaitable(x)
    async def to_thread(_pyrlm_f, *a, **k):
        return _pyrlm_f(*a, **k)
    async def wait_for(x, timeout=None):
        t = _pyrlm_task(x)
        if timeout is not None and timeout <= 0 and not t.over:
            t.cancel()
            raise TimeoutError('')
        try:
            await _pyrlm_until(t, timeout)
        except TimeoutError:
            if t.over:
                raise
            t.cancel()
            raise TimeoutError('') from None
        return t.outcome()
    async def wait(xs, timeout=None, return_when='ALL_COMPLETED'):
        tasks = [_pyrlm_task(x) for x in xs]
        some = _pyrlm_Task()
        def ended(t):
            failed = return_when == 'FIRST_EXCEPTION' and t.error is not None
            if failed or return_when == 'FIRST_COMPLETED' or all([x.over for x in tasks]):
                some.end(None, None)
        for t in tasks:
            t.add_done_callback(ended)
        try:
            await _pyrlm_until(some, timeout)
        except TimeoutError:
            pass
        return set([t for t in tasks if t.over]), set([t for t in tasks if not t.over])
    def as_completed(xs, timeout=None):
        over = []
        waiters = []
        def ended(t):
            over.append(t)
            if waiters:
                _pyrlm_set(*waiters)
                waiters.clear()
        tasks = [_pyrlm_task(x) for x in xs]
        for t in tasks:
            t.add_done_callback(ended)
        return iter([_pyrlm_first(waiters, over, i) for i in range(len(tasks))])
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
