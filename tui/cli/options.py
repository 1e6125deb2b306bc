"""The options that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ...schemas.errors import EngineError

if TYPE_CHECKING:
    from ...schemas.messages import Sampling

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write one JSON document to stdout, and an error as JSON to stderr."
)
slot_option = click.option("--slot", metavar="SLOT", help="The slot, by name or title; without it the first one.")
any_slot_option = click.option("--slot", metavar="SLOT", help="Only this slot, by name or title; without it all.")


class Weights(click.ParamType):
    """Slots and how much of each: ``science=0.7,creative=0.3``; empty: none."""

    name = "weights"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, float]:
        """Return the weights by slot."""
        if isinstance(value, dict):
            return value
        found: dict[str, float] = {}
        for part in filter(None, (piece.strip() for piece in value.split(","))):
            slot, equals, weight = part.partition("=")
            try:
                found[slot.strip()] = float(weight if equals else "1")
            except ValueError:
                self.fail(f"{weight!r} is no weight; write SLOT=NUMBER, with commas between.", param, ctx)
        return found


def examples(*lines: str) -> str:
    """Return the examples at the end of a command's help, one line each."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


_SAMPLING = (
    ("temperature", "0 takes the likeliest token; without it the slot's own."),
    ("top_k", "Only the K likeliest tokens; 0 is off."),
    ("top_p", "Only the likeliest tokens that make up this share; 1 is off."),
    ("min_p", "Only tokens at least this likely beside the likeliest; 0 is off."),
    ("repetition_penalty", "Above 1 makes what was said less likely; 1 is off."),
    ("seed", "Draw the same tokens again."),
    ("max_tokens", "The longest reply, in tokens."),
)
"""Fields of ``Sampling`` and their help; types and limits are read from the record."""


def sampling_options(command: F) -> F:
    """Give a command the options of ``Sampling``; those that are given arrive as keyword arguments, the others None."""
    from annotated_types import Ge, Gt, Le, Lt

    from ...schemas.messages import Sampling

    for name, text in reversed(_SAMPLING):
        field = Sampling.model_fields[name]
        limits: dict[str, Any] = {}
        for limit in field.metadata:
            match limit:
                case Ge(ge=bound):
                    limits["min"] = bound
                case Gt(gt=bound):
                    limits.update(min=bound, min_open=True)
                case Le(le=bound):
                    limits["max"] = bound
                case Lt(lt=bound):
                    limits.update(max=bound, max_open=True)
        whole = field.annotation in (int, int | None)
        ranged = click.IntRange(**limits) if whole else click.FloatRange(**limits)
        kind = ranged if limits else click.INT if whole else click.FLOAT
        command = click.option(f"--{name.replace('_', '-')}", name, type=kind, default=None, help=text)(command)
    return command


def sampling_of(values: dict[str, Any]) -> Sampling:
    """Return the sampling that the given options ask for."""
    from ...schemas.messages import Sampling

    return Sampling(**{name: values[name] for name, _ in _SAMPLING if values[name] is not None})


@contextmanager
def the_serve_extra(what: str) -> Iterator[None]:
    """Say what to install where something that listens lacks the libraries of the extra ``serve``.

    Raises:
        EngineError: Then.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise EngineError(
            f"{what} needs {error.name}, which is not installed; install it with `pip install 'nightschool[serve]'`."
        ) from error


class ListingGroup(click.Group):
    """A group that lists when no command is named: ``nightschool slots`` is ``nightschool slots list``.

    With ``takes_names`` what is not one of its commands is what to list: ``nightschool versions science``.
    """

    takes_names = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``list`` before options that are not the group's own."""
        help_asked = bool(args) and args[0] in ("-h", "--help")
        if not args or (args[0].startswith("-") or (self.takes_names and args[0] not in self.commands)):
            args = args if help_asked else ["list", *args]
        return super().parse_args(ctx, args)


class NamingGroup(ListingGroup):
    """A group that lists what is named."""

    takes_names = True
