"""Every reason for which something offered is not taken, in one table: a code, one sentence, a way out.

The code is what programs and tests go by, and is never given another meaning. ``numbers`` are the hostile inputs of
docs/bundle.md that the row answers. "It is wrong" (``Refused``) and "it
could not be checked" (``Unchecked``) are different errors, and after neither is anything taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..schemas.errors import MarketError, Refused, Unchecked


@dataclass(frozen=True)
class Refusal:
    """One row of the table.

    Attributes:
        code: Its name for programs, a-z and hyphens.
        sentence: What is wrong, without a full stop.
        way_out: What the user can do.
        numbers: Of hostile inputs that it answers.
        error: What is raised.
    """

    code: str
    sentence: str
    way_out: str
    numbers: tuple[int, ...] = ()
    error: type[MarketError] = Refused


_ASK = "ask the publisher for a whole and signed one"
_DO_NOT = "do not use it, and tell the publisher"

_ROWS = (
    # -- signatures ---------------------------------------------------------------------------------------------------
    Refusal("unsigned", "It carries no signature", _ASK, (18,)),
    Refusal("envelope", "Its signature is not in the form of a DSSE envelope", _ASK),
    Refusal("bad-signature", "A signature on it does not fit what it signs", _DO_NOT, (19, 20)),
    Refusal("payload-type", "What is signed is of another kind than what was asked for", _DO_NOT, (21,)),
    Refusal("threshold", "Fewer of its publisher's keys have signed it than must", _DO_NOT, (22,)),
    Refusal("weak-key", "A key is one of those for which anybody can make signatures", _DO_NOT, (23,)),
    Refusal("key", "A public key is no Ed25519 key", _DO_NOT),
    Refusal("signature-form", "A signature is not in the one form that Ed25519 allows", _DO_NOT, (24,)),
    Refusal(
        "cannot-check-signature",
        "Its signature could not be checked",
        "nothing was taken; see that the signer's keys are known, then try again",
        error=Unchecked,
    ),
    # -- JSON ---------------------------------------------------------------------------------------------------------
    Refusal("json", "It is not valid JSON", _ASK),
    Refusal("json-size", "Its JSON is longer than allowed", _ASK),
    Refusal("json-duplicate", "Its JSON names a field twice", _DO_NOT, (30,)),
    Refusal("json-number", "Its JSON has a number that is none, or that is too large", _DO_NOT, (31,)),
    Refusal("json-depth", "Its JSON is nested too deeply", _DO_NOT, (32,)),
    Refusal("json-text", "Its text is not valid UTF-8", _DO_NOT, (33,)),
    Refusal("fields", "It lacks a field, or has one that is unknown or not of its kind", _ASK, (34,)),
)

REFUSALS = {row.code: row for row in _ROWS}
assert len(REFUSALS) == len(_ROWS), "two refusals have one code"


def refuse(code: str, detail: str = "") -> MarketError:
    """Return the error of a refusal, to be raised; ``detail`` says where, or what was found and what expected."""
    row = REFUSALS[code]
    where = f" ({detail})" if detail else ""
    return row.error(f"{row.sentence}{where}; {row.way_out}.", code)
