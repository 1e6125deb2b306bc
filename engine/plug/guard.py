"""Items of strangers, handed on with every method called alone: what fails is blamed on its plugin, and told.

An error of ours that a method raises on purpose (``UsageError`` of a merge, ``StudyError`` of a trainer) is an answer,
where the method has no neutral one. Everything else that comes out of it is a fault.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Protocol

from ...schemas.errors import PluginError
from .calling import Caller, Overrun
from .items import OTHER, Kind, Method

FAULTS = (Exception, SystemExit)
"""What code of strangers may raise and the app survives; ctrl+c is the user's."""


class Judge(Protocol):
    """Who is told of faults, and knows which plugins are off by now."""

    @property
    def caller(self) -> Caller:
        """Who makes the calls."""
        ...

    def is_off(self, plugin: str) -> bool:
        """Whether a plugin was turned off since its items were handed out."""
        ...

    def blame(self, plugin: str, hook: str, text: str, error: BaseException | None = None) -> None:
        """Take note of a fault."""
        ...


@dataclasses.dataclass(frozen=True)
class Place:
    """Whose item it is, of which hook, and who judges."""

    judge: Judge
    plugin: str
    hook: str


def guarded(item: Any, kind: Kind, place: Place) -> Any:
    """Return an item like ``item`` whose methods of the table are called alone.

    A data class stays one of its class; of another object the new one has everything that is public, as it is now, so
    that ``isinstance`` with a protocol sees what it would have seen.
    """
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        changes = {
            name: _wrapped(value, name, OTHER, place)
            for name, value in ((field.name, getattr(item, field.name)) for field in dataclasses.fields(item))
            if callable(value)
        }
        return dataclasses.replace(item, **changes)
    public = {name: getattr(item, name) for name in dir(item) if not name.startswith("_")}
    for name, method in kind.methods.items():
        if name in public:
            public[name] = _wrapped(public[name], f"{public['name']}.{name}", method, place)
        elif method.neutral is not None:
            public[name] = method.neutral
    return SimpleNamespace(**public)


def _wrapped(function: Callable[..., Any], name: str, method: Method, place: Place) -> Callable[..., Any]:
    at = f"{place.hook} {name}"

    def call(*arguments: Any, **named: Any) -> Any:
        if place.judge.is_off(place.plugin):
            return _instead(method, arguments, place, at, why="was turned off after it failed")
        told = _alive(arguments, method, place)
        try:
            answer = place.judge.caller.call(place.plugin, at, method.seconds, lambda: function(*told, **named))
        except FAULTS as error:
            if method.neutral is None and on_purpose(error):
                raise
            text = f"{name}() failed with {described(error)}"
            place.judge.blame(place.plugin, place.hook, f"{text}.", error)
            return _instead(method, arguments, place, at, why=text, cause=error)
        if method.gives:
            return _each(answer, name, method, place)
        if not method.fits(answer):
            text = f"{name}() returned {type(answer).__name__} where {method.wanted} is wanted"
            place.judge.blame(place.plugin, place.hook, f"{text}.")
            return _instead(method, arguments, place, at, why=text)
        return _further(answer, name, place) if method is OTHER else answer

    return call


def _further(answer: Any, name: str, place: Place) -> Any:
    """Return the answer of a record's function: what is awaited of it, or called on it, is guarded as well."""
    from .guarded_provider import OPENS, guarded_answer, guarded_provider

    if inspect.isawaitable(answer):
        return guarded_answer(name, answer, place)
    return guarded_provider(answer, name, place) if name in OPENS else answer


def _instead(
    method: Method, arguments: tuple[Any, ...], place: Place, at: str, *, why: str, cause: BaseException | None = None
) -> Any:
    if method.neutral is not None:
        answer = method.neutral(*arguments)
        return iter([answer]) if method.gives else answer
    raise PluginError(
        f"The plugin {place.plugin} failed at {at}: {why}; update it, or `nightschool plugins disable {place.plugin}`."
    ) from cause


def _alive(arguments: tuple[Any, ...], method: Method, place: Place) -> tuple[Any, ...]:
    """Return the arguments with the one that tells how far it is also telling that it lives."""
    if method.tells is None or method.tells >= len(arguments):
        return arguments
    told, caller = arguments[method.tells], place.judge.caller

    def tell(*values: Any) -> Any:
        caller.beat(resting=True)  # a study is let rest there
        try:
            return told(*values)
        finally:
            caller.beat()

    return (*arguments[: method.tells], tell, *arguments[method.tells + 1 :])


def _each(answer: Any, name: str, method: Method, place: Place) -> Iterator[Any]:
    """Give what a method gives, each asked for alone; after a fault one neutral thing, and the end."""
    at, end = f"{place.hook} {name}", object()
    text, cause = "", None
    try:
        things = iter(answer)
    except TypeError:
        text = f"{name}() returned {type(answer).__name__}, of which nothing can be taken"
        things = iter(())
    while not text:
        try:
            thing = place.judge.caller.call(place.plugin, at, method.seconds, lambda: next(things, end))
        except FAULTS as error:
            if on_purpose(error):  # of the stream that it reads
                raise
            text, cause = f"{name}() failed with {described(error)}", error
            break
        if thing is end:
            return
        if not method.fits(thing):
            text = f"{name}() gave {type(thing).__name__} where {method.wanted} is wanted"
            break
        yield thing
    place.judge.blame(place.plugin, place.hook, f"{text}.", cause)
    if method.neutral is not None:
        yield method.neutral(None)


def on_purpose(error: BaseException) -> bool:
    """Whether an error is one of Night School, raised on purpose."""
    return type(error).__module__.startswith("nightschool.") and not isinstance(error, Overrun)


def described(error: BaseException) -> str:
    """Return an error of somebody else's code in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__
