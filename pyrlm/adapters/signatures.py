"""How an adapter's method wants its arguments: read from its signature, once."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Plan", "plan_for"]

_NAMES = ("messages", "max_tokens", "temperature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which arguments a method takes, and how.

    Attributes:
        places: Arguments passed by place, in order.
        names: Arguments passed by name.
        options: Names of further options that it takes.
        any_option: Whether it takes options of any name.
    """

    places: tuple[str, ...] = _NAMES
    names: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    any_option: bool = True

    def takes(self, argument: str) -> bool:
        """Whether the method is given this one of ``messages``, ``max_tokens``, ``temperature``."""
        return argument in self.places or argument in self.names

    def takes_option(self, name: str) -> bool:
        """Whether it takes an option of this name."""
        return self.any_option or name in self.options

    def arguments(self, **values: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The arguments by place and by name."""
        return [values[name] for name in self.places], {name: values[name] for name in self.names}


_plans: WeakKeyDictionary[Any, dict[bool, Plan]] = WeakKeyDictionary()


def plan_for(call: Callable[..., Any]) -> Plan:
    """How `call`, a bound method or a function, is called; one whose signature can't be read takes all three by place."""
    function = getattr(call, "__func__", call)
    bound = function is not call
    try:
        kept = _plans.setdefault(function, {})
    except TypeError:  # not hashable, or nothing that can be referred to weakly
        return _read(call)
    if bound not in kept:
        kept[bound] = _read(call)
    return kept[bound]


def _read(call: Callable[..., Any]) -> Plan:
    try:
        parameters = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):  # callables written in C may have no signature
        return Plan()
    by_place = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    by_name = {p.name for p in parameters if p.kind in {p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD}}
    any_place = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    any_option = any(p.kind is p.VAR_KEYWORD for p in parameters)
    places, all_placed = _places(by_place, by_name)
    rest = [name for name in _NAMES if name not in places]
    if any_place and all_placed and not by_name.intersection(rest):
        places, rest = [*places, *rest], []
    names = tuple(name for name in rest if name in by_name or any_option)
    return Plan(
        places=tuple(places),
        names=names,
        options=frozenset(by_name.difference(_NAMES, [p.name for p in by_place[: len(places)]])),
        any_option=any_option,
    )


def _places(by_place: Sequence[inspect.Parameter], by_name: set[str]) -> tuple[list[str], bool]:
    """What goes by place: what is called so, and for other names without a default the next that has no place yet.

    ``complete(messages, max_tokens, seed=0)`` must not be given the temperature as its seed.
    """
    places: list[str] = []
    for parameter in by_place:
        if parameter.name in _NAMES:
            places.append(parameter.name)
            continue
        unnamed = [name for name in _NAMES if name not in places and name not in by_name]
        if parameter.default is not parameter.empty and (places or not unnamed):
            return places, False
        if not unnamed:
            return places, False
        places.append(unnamed[0])
    return places, True
