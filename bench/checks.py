# ruff: noqa: D102 (the docstring of each operation and predicate says what its one method does)
"""The learning cases: their format, what the scripted person does to a reply, and what following a rule looks like.

This is the measuring side. It shares no code with the rewriters that the study uses, so that an error there cannot hide
here. ``load_cases`` reads a file, ``rewrite`` plays the person's edit, ``holds`` checks a reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from nightschool.schemas.errors import UsageError


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    return pattern


Regex = Annotated[str, AfterValidator(_compiles)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# -- operations: how the person edits a reply -------------------------------------------------------------------------


class Prefix(_Strict):
    """Put ``text`` before the reply, whose first letter may become small."""

    op: Literal["prefix"]
    text: str
    lower_first: bool = False

    def __call__(self, reply: str) -> str:
        return self.text + (reply[:1].lower() + reply[1:] if self.lower_first else reply)


class Suffix(_Strict):
    """Put ``text`` after the reply."""

    op: Literal["suffix"]
    text: str

    def __call__(self, reply: str) -> str:
        return reply.rstrip() + self.text


class Sentences(_Strict):
    """Keep the first ``n`` sentences."""

    op: Literal["sentences"]
    n: int = Field(ge=1)

    def __call__(self, reply: str) -> str:
        ends = [end for _, end in sentence_spans(reply)]
        return reply if len(ends) <= self.n else reply[: ends[self.n - 1]]


class Words(_Strict):
    """Keep the first ``n`` words."""

    op: Literal["words"]
    n: int = Field(ge=1)

    def __call__(self, reply: str) -> str:
        ends = [match.end() for match in re.finditer(r"\S+", reply)]
        return reply if len(ends) <= self.n else reply[: ends[self.n - 1]]


class Replace(_Strict):
    """Replace whatever ``pattern`` matches."""

    op: Literal["replace"]
    pattern: Regex
    with_: str = Field(alias="with")

    def __call__(self, reply: str) -> str:
        return re.sub(self.pattern, self.with_, reply)


class Lowercase(_Strict):
    """All letters small."""

    op: Literal["lowercase"]

    def __call__(self, reply: str) -> str:
        return reply.lower()


class Uppercase(_Strict):
    """All letters large."""

    op: Literal["uppercase"]

    def __call__(self, reply: str) -> str:
        return reply.upper()


class Bullets(_Strict):
    """One sentence a line, each after ``- ``."""

    op: Literal["bullets"]

    def __call__(self, reply: str) -> str:
        sentences = (reply[start:end] for start, end in sentence_spans(reply))
        return "\n".join(f"- {_MARKER.sub('', sentence)}" for sentence in sentences)


class Strip(_Strict):
    """Remove whatever ``pattern`` matches."""

    op: Literal["strip"]
    pattern: Regex

    def __call__(self, reply: str) -> str:
        return re.sub(self.pattern, "", reply)


Operation = Annotated[
    Prefix | Suffix | Sentences | Words | Replace | Lowercase | Uppercase | Bullets | Strip, Discriminator("op")
]


def rewrite(operations: Sequence[Operation], reply: str) -> str:
    """Return the reply as the person edits it, outer white space removed."""
    for operation in operations:
        reply = operation(reply.strip())
    return reply.strip()


# -- predicates: what following a rule looks like ---------------------------------------------------------------------


class MatchesRegex(_Strict):
    """The pattern is found anywhere in the reply; ``^`` and ``$`` are its start and end."""

    regex: Regex

    def __call__(self, reply: str) -> bool:
        return re.search(self.regex, reply) is not None


class Ends(_Strict):
    """The reply ends with the text."""

    ends: str

    def __call__(self, reply: str) -> bool:
        return reply.endswith(self.ends.rstrip())


class MaxSentences(_Strict):
    """No more than so many sentences."""

    max_sentences: int = Field(ge=0)

    def __call__(self, reply: str) -> bool:
        return len(sentence_spans(reply)) <= self.max_sentences


class MaxWords(_Strict):
    """No more than so many words."""

    max_words: int = Field(ge=0)

    def __call__(self, reply: str) -> bool:
        return len(reply.split()) <= self.max_words


class IsLowercase(_Strict):
    """No letter that has a smaller form."""

    lowercase: Literal[True]

    def __call__(self, reply: str) -> bool:
        return reply == reply.lower()


class IsBullets(_Strict):
    """Every line that is not empty starts with ``- ``."""

    bullets: Literal[True]

    def __call__(self, reply: str) -> bool:
        return all(line.startswith("- ") for line in reply.splitlines() if line.strip())


class AllOf(_Strict):
    """Every one of the predicates."""

    all: list[Predicate] = Field(min_length=1)

    def __call__(self, reply: str) -> bool:
        return all(part(reply) for part in self.all)


class AnyOf(_Strict):
    """At least one of the predicates."""

    any: list[Predicate] = Field(min_length=1)

    def __call__(self, reply: str) -> bool:
        return any(part(reply) for part in self.any)


class Not(_Strict):
    """The predicate does not hold."""

    not_: Predicate = Field(alias="not")

    def __call__(self, reply: str) -> bool:
        return not self.not_(reply)


def _key(value: Any) -> str | None:
    """Return the one key that names a predicate."""
    if isinstance(value, dict):
        return str(next(iter(value))) if len(value) == 1 else None
    return next((key for key, kind in _KINDS.items() if isinstance(value, kind)), None)


_KINDS: dict[str, type[BaseModel]] = {
    "regex": MatchesRegex,
    "ends": Ends,
    "max_sentences": MaxSentences,
    "max_words": MaxWords,
    "lowercase": IsLowercase,
    "bullets": IsBullets,
    "all": AllOf,
    "any": AnyOf,
    "not": Not,
}

Predicate = Annotated[
    Annotated[MatchesRegex, Tag("regex")]
    | Annotated[Ends, Tag("ends")]
    | Annotated[MaxSentences, Tag("max_sentences")]
    | Annotated[MaxWords, Tag("max_words")]
    | Annotated[IsLowercase, Tag("lowercase")]
    | Annotated[IsBullets, Tag("bullets")]
    | Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(
        _key,
        custom_error_type="predicate",
        custom_error_message=f"a predicate is an object with one key out of {', '.join(_KINDS)}",
    ),
]
for _kind in (AllOf, AnyOf, Not):
    _kind.model_rebuild()


def holds(check: Predicate, reply: str) -> bool:
    """Whether a reply follows the rule. Outer white space does not count, and an empty reply follows nothing."""
    reply = reply.strip()
    return bool(reply) and check(reply)


# -- cases ------------------------------------------------------------------------------------------------------------


class Opposite(_Strict):
    """A prompt that asks for the contrary of the rule, and what obeying it looks like."""

    prompt: str
    check: Predicate


class Case(BaseModel):
    """A small scripted person. Keys that are not known are left aside: they may be notes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    slot: str
    rule: str
    mode: Literal["edit", "say", "both"]
    say: str = ""
    teach: list[str] = Field(min_length=1)
    rewrite: list[Operation] = Field(default_factory=list)
    check: Predicate
    probes: list[str] = Field(min_length=1)
    outside: list[str] = Field(default_factory=list)
    opposites: list[Opposite] = Field(default_factory=list)
    max_tokens: int = Field(gt=0)

    @model_validator(mode="after")
    def _complete(self) -> Case:
        if self.mode != "edit" and not self.say:
            raise ValueError(f"mode {self.mode!r} needs the sentence that is said, in 'say'")
        if self.mode != "say" and not self.rewrite:
            raise ValueError(f"mode {self.mode!r} needs the person's edit, in 'rewrite'")
        return self

    def prompts(self) -> list[str]:
        """Return every prompt of the case."""
        return [*self.teach, *self.probes, *self.outside, *(opposite.prompt for opposite in self.opposites)]


def load_cases(path: Path) -> list[Case]:
    """Return the cases of a file, one JSON object a line.

    Raises:
        UsageError: If the file cannot be read, a line is not a case, or two cases have the same id; the message names
            the line and what is wrong in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The cases in {path} cannot be read ({error}); name a file with one JSON object a line."
        ) from (error)
    cases: dict[str, Case] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            case = Case.model_validate_json(line)
        except ValidationError as error:
            raise UsageError(f"{path}, line {number} is not a case: {_first(error)}; correct that line.") from error
        if case.id in cases:
            raise UsageError(f"{path}, line {number} uses the id {case.id!r} a second time; give the case its own id.")
        cases[case.id] = case
    if not cases:
        raise UsageError(f"{path} holds no case; write one JSON object a line.")
    return list(cases.values())


def _first(error: ValidationError) -> str:
    """Return where the first fault of a line is, and what."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg']}" if place else fault["msg"]


# -- sentences --------------------------------------------------------------------------------------------------------

_MARKER = re.compile(r"^(?:[-*\u2022]|\d{1,2}[.)])\s+")
_END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]*_]*(?=\s|$)")
_NUMBER = re.compile(r"\d{1,2}\.")
_TITLE = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|approx)\.$")
_DOTTED = re.compile(r"\b(?:[A-Za-z]\.){2,}$")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return where each sentence starts and ends in a text.

    A sentence ends at a full stop, exclamation mark or question mark before white space, and at the end of a line, so
    that a heading or an item of a list counts as one. The number of an item ends nothing, nor does a common
    abbreviation.
    """
    spans: list[tuple[int, int]] = []
    for line in re.finditer(r"\S[^\n]*", text):
        start = line.start()
        for mark in _END.finditer(text, start, line.end()):
            rest = text[mark.end() : line.end()].lstrip()
            if rest and _goes_on(text[start : mark.end()], rest):
                continue
            spans.append((start, mark.end()))
            start = line.end() - len(rest)
        if text[start : line.end()].strip():
            spans.append((start, start + len(text[start : line.end()].rstrip())))
    return spans


def _goes_on(sentence: str, rest: str) -> bool:
    """Whether the stop at the end of ``sentence`` belongs to an item's number or an abbreviation."""
    if _NUMBER.fullmatch(sentence) or _TITLE.search(sentence):
        return True
    return _DOTTED.search(sentence) is not None and rest[0].islower()
