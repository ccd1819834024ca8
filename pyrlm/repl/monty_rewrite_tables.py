"""What Monty 1.4 lacks and what stands in for it, as data: drop a line here when Monty has grown it."""

from __future__ import annotations

__all__ = [
    "ATTRIBUTES",
    "BOUND_METHODS",
    "BUILTINS",
    "BUILTIN_TYPES",
    "CONSUMERS",
    "CONSUMING_METHODS",
    "ENUM_BASES",
    "EXCEPTIONS",
    "METHODS",
    "MISSING_SPECIAL",
    "MODULES",
    "ORDER_METHODS",
    "OVERLAYS",
    "PASSING_BASES",
    "PURE_BUILTINS",
    "RENAMED_EXCEPTIONS",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODULES = {
    name: "_pyrlm_mod_" + name.replace(".", "_")
    for name in [
        "heapq",
        "statistics",
        "textwrap",
        "string",
        "operator",
        "contextlib",
        "io",
        "html",
        "difflib",
        "enum",
        "ast",
        "fractions",
        "calendar",
        "urllib",
        "urllib.parse",
        "struct",
        "threading",
        "logging",
        "concurrent",
        "concurrent.futures",
        "types",
        "pprint",
        "queue",
        "abc",
        "traceback",
        "warnings",
        "zoneinfo",
        "numbers",
        "fnmatch",
        "collections.abc",
    ]
}
"""Modules that Monty has not at all, by the prelude piece that stands for them."""

OVERLAYS = {
    "re": _words(
        "I IGNORECASE M MULTILINE S DOTALL U UNICODE X VERBOSE A ASCII L LOCALE NOFLAG error PatternError RegexFlag "
        "compile search match fullmatch findall finditer split sub subn purge"
    ),
    "json": _words("dumps loads dump load"),
    "functools": _words("wraps cmp_to_key total_ordering update_wrapper"),
    "collections": _words("OrderedDict ChainMap UserDict UserList abc"),
    "dataclasses": _words("asdict astuple fields replace is_dataclass"),
    "typing": _words(
        "Deque DefaultDict OrderedDict Counter Hashable Awaitable Match Pattern Protocol Generic TypedDict AnyStr Text "
        "cast overload NewType TypeVar NamedTuple"
    ),
    "csv": _words("DictReader DictWriter writer reader"),
    "asyncio": _words(
        "Task Future Semaphore BoundedSemaphore Lock Event Queue QueueEmpty TaskGroup TimeoutError CancelledError "
        "FIRST_COMPLETED FIRST_EXCEPTION ALL_COMPLETED create_task ensure_future get_event_loop get_running_loop "
        "new_event_loop set_event_loop run iscoroutine gather shield to_thread wait_for wait as_completed"
    ),
    "time": _words("sleep"),
    "sys": _words("exit stdout stderr getrecursionlimit setrecursionlimit intern"),
}
"""Names of modules that Monty has in part: these are taken from the prelude, all others from Monty."""

BUILTINS = {
    "callable": "_pyrlm_callable",
    "ascii": "_pyrlm_ascii",
    "issubclass": "_pyrlm_issubclass",
    "exit": "_pyrlm_exit",
    "quit": "_pyrlm_exit",
}
"""Builtin functions that Monty lacks."""

RENAMED_EXCEPTIONS = {
    "IOError": "OSError",
    "EnvironmentError": "OSError",
    "ConnectionError": "OSError",
    "EOFError": "Exception",
    "UnicodeError": "ValueError",
    "Warning": "Exception",
    "UserWarning": "Exception",
    "DeprecationWarning": "Exception",
    "RuntimeWarning": "Exception",
    "FloatingPointError": "ArithmeticError",
    "BufferError": "Exception",
    "ReferenceError": "Exception",
    "SystemError": "Exception",
}
"""Exceptions that Monty lacks, by the nearest parent that it has (enough for `except`)."""

EXCEPTIONS = _words(
    "ArithmeticError AssertionError AttributeError Exception ImportError IndexError KeyError LookupError MemoryError "
    "ModuleNotFoundError NameError NotImplementedError OSError OverflowError PermissionError RecursionError RuntimeError "
    "StopIteration SyntaxError TimeoutError TypeError ValueError ZeroDivisionError FileNotFoundError BaseException SystemExit KeyboardInterrupt"
)

BUILTIN_TYPES = _words("str bytes list dict set frozenset tuple int float bool")

PURE_BUILTINS = _words(
    "len int str float bool abs min max sum sorted tuple list set dict frozenset round ord chr repr hash range enumerate "
    "zip reversed isinstance type divmod pow bin hex oct format bytes hasattr id"
)
"""Builtins that call nothing of the host when they are given plain values."""

CONSUMERS = _words(
    "list tuple set frozenset dict sum sorted min max any all len Counter deque OrderedDict bytes bytearray "
    "defaultdict str print enumerate zip map filter reversed"
)
CONSUMING_METHODS = _words(
    "join extend update union intersection difference symmetric_difference fromkeys writelines writerows mean fmean median "
    "stdev pstdev variance prod fsum chain from_iterable accumulate nlargest nsmallest heapify Counter deque sorted reduce "
    "issubset issuperset isdisjoint most_common mode multimode quantiles gather dumps extendleft"
)
"""Calls that use up an iterable at once, so that a list in its place is the same."""

BOUND_METHODS = _words(
    "lower upper strip lstrip rstrip split rsplit splitlines join replace startswith endswith find rfind index rindex count "
    "title capitalize casefold swapcase isdigit isalpha isalnum isspace isupper islower isnumeric isdecimal isidentifier "
    "zfill ljust rjust center encode decode format partition rpartition removeprefix removesuffix expandtabs "
    "get keys values items pop setdefault update popitem copy append extend insert remove sort reverse clear add discard "
    "union intersection difference symmetric_difference issubset issuperset isdisjoint "
    "search match fullmatch findall finditer sub group groups groupdict start end span "
    "appendleft popleft extendleft rotate most_common elements subtract isoformat strftime date weekday total_seconds "
    "bit_length hex timestamp __getitem__ __contains__"
)
"""Methods of builtin types: as a value (``key=d.get``) they become a function that calls them."""

METHODS = {
    "bit_length": 0,
    "bit_count": 0,
    "to_bytes": 0,
    "from_bytes": 0,
    "is_integer": 0,
    "as_integer_ratio": 0,
    "isocalendar": 0,
    "fromisocalendar": 0,
    "fromtimestamp": 0,
    "utcfromtimestamp": 0,
    "fromordinal": 0,
    "toordinal": 0,
    "timetuple": 0,
    "ctime": 0,
    "format_map": 0,
    "maketrans": 0,
    "translate": 0,
    "difference_update": 0,
    "intersection_update": 0,
    "symmetric_difference_update": 0,
    "move_to_end": 0,
    "sub": 2,
    "subn": 0,
    "findall": 0,
    "finditer": 0,
    "expand": 0,
    "union": 2,
    "intersection": 2,
    "difference": 2,
    "search": 2,
    "match": 2,
    "fullmatch": 2,
    "start": 1,
    "end": 1,
    "span": 1,
    "groups": 1,
    "groupdict": 1,
}
"""Methods that Monty lacks on some type, by the number of arguments from which on it does; the prelude has each."""

ATTRIBUTES = _words(
    "lastgroup lastindex groupindex groups real imag numerator denominator start stop step pattern __name__ __cause__ "
    "__context__ __class__ args code errno __dict__"
)
"""Attributes that Monty lacks on some type; the prelude has each."""

ENUM_BASES = _words("Enum IntEnum StrEnum Flag IntFlag")
PASSING_BASES = _words("object ABC Protocol Generic")
ORDER_METHODS = {"Lt": "__lt__", "Gt": "__gt__", "LtE": "__le__", "GtE": "__ge__"}

MISSING_SPECIAL = {
    "__new__": "set the object up in __init__",
    "__getattr__": "use a method or a dict",
    "__getattribute__": "use a method or a dict",
    "__setattr__": "use a method that sets the value",
    "__format__": "use a method that returns the text",
    "__iadd__": "use a method that changes the object",
    "__isub__": "use a method that changes the object",
    "__ior__": "use a method that changes the object",
    "__del__": "call a method when you are done",
    "__init_subclass__": "use a function",
    "__class_getitem__": "leave it out",
    "__missing__": "use collections.defaultdict",
    "__reversed__": "use a method that returns a list",
    "__set_name__": "use a method",
    "__get__": "use a method",
    "__set__": "use a method",
}
"""Special methods that Monty would pass over in silence or can't call, with what to write instead."""
