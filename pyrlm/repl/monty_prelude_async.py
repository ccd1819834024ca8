r"""Prelude pieces for code that runs side by side, in Monty's Python: tasks, semaphores, sleep.

Monty has coroutines, `asyncio.run`, `sleep` and `gather`, and `asyncio.run` may stand anywhere: it halts the task that
calls it and no other. A task goes on when the `gather` that began it has failed, so a coroutine that is gathered with
one that fails at once is a task of its own. Waiting is done with ``_pyrlm_event(key, seconds)``, which ``_pyrlm_set``
wakes (`monty_serve`). Threads are tasks too: while ``_pyrlm_side`` is set, a call of the host halts its own task only.
"""

from __future__ import annotations

PIECES = {
    "_pyrlm_Task": r"""
import asyncio as _pyrlm_aio
_pyrlm_side = False
_pyrlm_step = []
_pyrlm_keys = [0]
def _pyrlm_key():
    _pyrlm_keys[0] += 1
    return _pyrlm_keys[0]
def _pyrlm_waited(*a, **k):
    return _pyrlm_aio.run(_pyrlm_later(*a, **k))
async def _pyrlm_stop():
    raise KeyError('_pyrlm')
def _pyrlm_spawn(co):
    global _pyrlm_side
    _pyrlm_side = True
    try:
        _pyrlm_aio.run(_pyrlm_aio.gather(co, _pyrlm_stop()))
    except KeyError:
        pass
_pyrlm_coroutine = type(_pyrlm_stop())
_pyrlm_cancelled = KeyboardInterrupt
class _pyrlm_Task:
    def __init__(self, name=None):
        self.over = self.began = self.stopped = False
        self.value = self.error = None
        self.waiters = []
        self.callbacks = []
        self.step = _pyrlm_step
        self.name = name or 'Task-' + str(_pyrlm_key())
    def end(self, value, error):
        if self.over:
            return None
        self.value, self.error, self.over = value, error, True
        waiters, self.waiters = self.waiters, []
        if waiters:
            _pyrlm_set(*waiters)
        for f in self.callbacks:
            f(self)
    def outcome(self):
        if self.error is not None:
            raise self.error
        return self.value
    def result(self, timeout=None):
        if not self.over:
            _pyrlm_aio.run(_pyrlm_until(self, timeout))
        return self.outcome()
    def exception(self, timeout=None):
        if not self.over:
            _pyrlm_aio.run(_pyrlm_until(self, timeout))
        if self.stopped:
            raise self.error
        return None if self.error is None else _pyrlm_unwrap(self.error)
    def done(self):
        if not self.over and self.step is _pyrlm_step:
            _pyrlm_aio.run(_pyrlm_aio.sleep(0))
        return self.over
    def running(self):
        return self.began and not self.over
    def cancel(self, msg=None):
        if self.over:
            return False
        self.stopped = True
        self.end(None, _pyrlm_cancelled('the task was cancelled'))
        return True
    def cancelled(self):
        return self.stopped
    def add_done_callback(self, f):
        if self.over:
            f(self)
        else:
            self.callbacks.append(f)
    def get_name(self):
        return self.name
    def set_name(self, name):
        self.name = name
async def _pyrlm_until(t, timeout=None):
    # until the task is over; False where the time was over first
    while not t.over:
        if t.step is not _pyrlm_step:
            raise RuntimeError('the step that began this task has ended, and the task with it; begin it anew')
        key = _pyrlm_key()
        t.waiters.append(key)
        if not await _pyrlm_event(key, timeout) and not t.over:
            raise TimeoutError('the time for waiting was over')
async def _pyrlm_joined(t, timeout=None):
    await _pyrlm_until(t, timeout)
    return t.outcome()
async def _pyrlm_carry(t, co):
    # a task of asyncio: it begins when the one that made it waits
    await _pyrlm_aio.sleep(0)
    if t.over:
        return None
    t.began = True
    try:
        value = await co
    except (Exception, KeyboardInterrupt, SystemExit) as e:
        t.end(None, e)
        if isinstance(e, SystemExit):
            raise
    else:
        t.end(value, None)
async def _pyrlm_done(x):
    return x
def _pyrlm_awaitable(x):
    if type(x) is _pyrlm_coroutine:
        return x
    if isinstance(x, _pyrlm_Task):
        return _pyrlm_joined(x)
    if hasattr(x, '__await__'):
        raise NotImplementedError('__await__: not supported here; use async def')
    return _pyrlm_done(x)
async def _pyrlm_deferred(_pyrlm_f, *a, **k):
    return await _pyrlm_awaitable(_pyrlm_f(*a, **k))
def _pyrlm_deferred_map(f, *its):
    return [_pyrlm_deferred(f, *a) for a in zip(*[list(i) for i in its])]
def _pyrlm_task(x, name=None, **kw):
    if isinstance(x, _pyrlm_Task):
        return x
    t = _pyrlm_Task(name)
    _pyrlm_spawn(_pyrlm_carry(t, _pyrlm_awaitable(x)))
    return t
async def _pyrlm_kept(co):
    try:
        return await co
    except (Exception, KeyboardInterrupt) as e:
        return _pyrlm_unwrap(e)
""",
    "_pyrlm_Semaphore": r"""
class _pyrlm_Semaphore:
    def __init__(self, value=1):
        self.free = value
        self.waiters = []
    async def take(self, timeout=None):
        while self.free <= 0:
            key = _pyrlm_key()
            self.waiters.append(key)
            if not await _pyrlm_event(key, timeout) and self.free <= 0:
                return False
        self.free -= 1
        return True
    async def acquire(self):
        return await self.take()
    def release(self, n=1):
        self.free += n
        while n and self.waiters:
            n -= 1
            _pyrlm_set(self.waiters.pop(0))
    def locked(self):
        return self.free <= 0
    async def __aenter__(self):
        return await self.take()
    async def __aexit__(self, kind, e, tb):
        self.release()
        return False
""",
    "_pyrlm_mod_time": r"""
import time as _pyrlm_time
class _pyrlm_mod_time:
    def sleep(seconds):
        if _pyrlm_side:
            _pyrlm_aio.run(_pyrlm_aio.sleep(seconds))
        else:
            _pyrlm_time.sleep(seconds)
""",
}
"""Source text by the name that a piece defines; a piece may name others, which are loaded before it."""
