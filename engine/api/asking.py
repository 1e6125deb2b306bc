"""Reading what is asked: a chat completion, as OpenAI's clients send it.

What would change the answer and cannot be done is refused by name; what only concerns OpenAI's own service is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...schemas.messages import Sampling
from ...schemas.records import GivenTurn, Role
from .refusal import Refusal

M = TypeVar("M", bound=BaseModel)

_LONGEST_REPLY = 100_000
_MOST_STOPS = 4
_INT64 = 2**63

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "web_search_options": (),
}
"""Parameters that would change the answer, with the values that do not; null is always one of these."""
_IGNORED = frozenset(
    {
        "metadata", "moderation", "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "reasoning_effort", "safety_identifier", "service_tier", "store", "user", "verbosity",
    }
)  # fmt: skip
"""Parameters that concern OpenAI's own service, or are wishes that no small model knows."""


@dataclass(frozen=True)
class Asked:
    """A chat completion that is wanted.

    Attributes:
        model: Name of a slot, or of the plain base.
        turns: What user and assistant said.
        system: What system messages say, together.
        stream: Whether the reply is wanted in pieces.
        usage: Whether the last of these pieces shall count tokens.
    """

    model: str
    turns: tuple[GivenTurn, ...]
    system: str
    sampling: Sampling
    stop: tuple[str, ...] = ()
    stream: bool = False
    usage: bool = False


class Feedback(BaseModel):
    """What somebody thinks of a completion: at least one of the last three."""

    model_config = ConfigDict(extra="forbid")

    id: str
    rating: str | None = Field(default=None, pattern="^(up|down)$")
    text: str | None = Field(default=None, min_length=1)
    comment: str | None = Field(default=None, min_length=1)


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _Part(BaseModel):
    type: str
    text: str = ""


class _Message(BaseModel):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class _Body(BaseModel):
    """The parameters that count; the others are in ``model_extra``."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    model: str
    messages: list[_Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    seed: int | None = Field(default=None, ge=-_INT64, lt=_INT64)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None


def read_chat(data: bytes) -> Asked:
    """Return what the body of a request asks for.

    Raises:
        Refusal: If it is none, or asks for something that cannot be done; it names the parameter.
    """
    body = read_body(data, _Body)
    _check_others(body.model_extra or {})
    stops = tuple([body.stop] if isinstance(body.stop, str) else body.stop or ())
    if len(stops) > _MOST_STOPS or "" in stops:
        raise Refusal(400, "invalid_value", f"stop takes up to {_MOST_STOPS} texts, none of them empty.", param="stop")
    said = [(message.role, _text(message, place)) for place, message in enumerate(body.messages)]
    return Asked(
        model=body.model,
        turns=tuple(
            GivenTurn(role=Role(role), text=text) for role, text in said if role in (Role.USER, Role.ASSISTANT)
        ),
        system="\n\n".join(text for role, text in said if role in _SYSTEM and text.strip()),
        sampling=_sampling(body),
        stop=stops,
        stream=bool(body.stream),
        usage=body.stream_options is not None and body.stream_options.include_usage,
    )


def read_body(data: bytes, kind: type[M]) -> M:
    """Return the record that a JSON body is.

    Raises:
        Refusal: If it is not; the first thing that is wrong is named.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"].rstrip(".")
        where = place or "The body"
        raise Refusal(400, "invalid_value", f"{where}: {said}.", param=place or None) from error


_SYSTEM = ("system", "developer")
_ROLES = (*_SYSTEM, Role.USER, Role.ASSISTANT)


def _text(message: _Message, place: int) -> str:
    where = f"messages.{place}"
    if message.role not in _ROLES:
        roles = ", ".join(_ROLES)
        raise _unsupported(f"{where}.role", f"Messages are of {roles}; {message.role[:40]!r} cannot be read.")
    if message.tool_calls or message.function_call:
        raise _unsupported(where, "Tools cannot be called here; leave messages that call them out.")
    if message.content is None and message.role != Role.ASSISTANT:
        raise Refusal(400, "invalid_value", f"{where}.content: a text is needed.", param=f"{where}.content")
    if not isinstance(message.content, list):
        return message.content or ""
    for number, part in enumerate(message.content):
        if part.type != "text":
            raise _unsupported(
                f"{where}.content.{number}", f"Only text can be read, and this part is {part.type[:40]!r}."
            )
    return "\n".join(part.text for part in message.content)


def _check_others(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is None or name in _IGNORED:
            continue
        if name not in _NEUTRAL:
            raise Refusal(400, "unknown_parameter", f"{name[:60]} is not known here; leave it out.", param=name[:60])
        if value not in _NEUTRAL[name]:
            raise _unsupported(name, f"{name} cannot be done here; leave it out.")


def _sampling(body: _Body) -> Sampling:
    longest = body.max_completion_tokens or body.max_tokens
    given = {
        "temperature": body.temperature,
        "top_p": None if body.top_p is None else max(body.top_p, 1e-9),  # 0 is the likeliest token alone
        "top_k": None if body.top_k is None else max(body.top_k, 0),
        "min_p": body.min_p,
        "repetition_penalty": body.repetition_penalty,
        "seed": body.seed,
        "max_tokens": None if longest is None else min(longest, _LONGEST_REPLY),
    }
    return Sampling(**{name: value for name, value in given.items() if value is not None})


def _unsupported(param: str, message: str) -> Refusal:
    return Refusal(400, "unsupported_parameter", message, param=param)
