"""Every reason for which something offered is not taken, in one table: a code, one sentence, a way out.

The code is what programs and tests go by, and is never given another meaning. ``numbers`` are the hostile inputs of
docs/bundle.md that the row answers. "It is wrong" (``Refused``) and "it
could not be checked" (``Unchecked``) are different errors, and after neither is anything taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..schemas.errors import MarketError, NotConfirmed, Refused, RegistryStale, Unchecked


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
_AGAIN = "fetch it again"
_BASE = "fetch that base, or ask the publisher for one that was made for yours"
_DO_NOT = "do not use it, and tell the publisher"

_ROWS = (
    # -- the file of a bundle -----------------------------------------------------------------------------------------
    Refusal("empty", "The file is empty", _AGAIN, (1,)),
    Refusal("not-a-file", "It is no regular file", "name the file itself, not a link, a folder or a device"),
    Refusal("not-a-bundle", "The file is no bundle", "give a .slot file", (2,)),
    Refusal("too-large", "It is larger than a bundle may be", _ASK),
    Refusal("truncated", "The bundle ends too early", _AGAIN, (3, 4)),
    Refusal("trailing", "The bundle goes on after its end", _AGAIN, (5, 6)),
    Refusal("padding", "The bundle hides bytes where only zeros belong", _DO_NOT),
    Refusal("header", "The bundle has a header that is not written as the format asks", _ASK),
    Refusal("pax-header", "The bundle has extended tar headers", _ASK, (7,)),
    Refusal("gnu-name", "The bundle has long tar names", _ASK, (8,)),
    Refusal("sparse", "The bundle has sparse or oversized tar entries", _ASK, (9,)),
    Refusal("symlink", "The bundle holds a symbolic link", _DO_NOT, (10,)),
    Refusal("hardlink", "The bundle holds a hard link", _DO_NOT, (11,)),
    Refusal("special-file", "The bundle holds a folder, a device or a pipe", _DO_NOT, (12,)),
    Refusal("member-name", "The bundle holds a file of a name that none may have", _DO_NOT, (13,)),
    Refusal("metadata", "The bundle sets modes, owners or times", _ASK, (14,)),
    Refusal("duplicate-member", "The bundle holds a file twice", _DO_NOT, (15,)),
    Refusal("unlisted-member", "The bundle holds a file that its manifest does not list", _DO_NOT, (16,)),
    Refusal("missing-member", "The bundle lacks a file that its manifest lists", _AGAIN, (17,)),
    Refusal("changed", "The file changed while it was read", "take it again when nothing writes to it", (63,)),
    # -- the manifest of a bundle -------------------------------------------------------------------------------------
    Refusal("format", "The bundle is of a format that this Night School does not know", "update Night School", (35,)),
    Refusal("requires", "The bundle needs what this Night School does not have", "update Night School"),
    Refusal("subject", "What the manifest is about and the files that it lists differ", _DO_NOT),
    Refusal("text", "It holds characters that could deceive who reads it", _DO_NOT, (57,)),
    Refusal("card-size", "The card is longer than 64 KiB", _ASK, (58,)),
    Refusal("slot-name", "The slot has a name that not every machine can keep", _ASK, (65,)),
    # -- digests and codecs -------------------------------------------------------------------------------------------
    Refusal("blob-digest", "A file in the bundle is not the one that was signed", _AGAIN),
    Refusal("raw-digest", "A file in the bundle unpacks to something else than was signed", _DO_NOT),
    Refusal("zstd-size", "A compressed file unpacks to another size than the manifest says", _DO_NOT, (36, 37, 38)),
    Refusal("zstd-window", "A compressed file asks for too much memory", _DO_NOT, (39,)),
    Refusal("zstd-dictionary", "A compressed file needs a dictionary", _ASK, (40,)),
    Refusal("zstd-frame", "A compressed file is not exactly one whole frame", _ASK, (41, 42)),
    Refusal("planes", "The planes of the weights are of other lengths than their header says", _ASK, (43,)),
    # -- weights ------------------------------------------------------------------------------------------------------
    Refusal("weights-header", "The weights have no header of an allowed size and form", _DO_NOT, (44, 52)),
    Refusal("weights-key", "The weights name a tensor twice", _DO_NOT, (45,)),
    Refusal("weights-layout", "The weights have gaps, overlaps or empty tensors", _DO_NOT, (46,)),
    Refusal("weights-name", "The weights hold a tensor of a name that none may have", _DO_NOT, (47,)),
    Refusal("weights-number", "The weights hold numbers that are none", _ASK, (48,)),
    Refusal("weights-lora", "The weights hold something that is no part of a LoRA", _ASK, (49,)),
    Refusal("weights-pair", "The weights hold half of a pair, or pairs of other ranks or places", _ASK, (50,)),
    Refusal("weights-scan", "The weights move the model further than any adapter does", _DO_NOT),
    # -- configuration and base ---------------------------------------------------------------------------------------
    Refusal("config-field", "The configuration sets something that bundles cannot", _DO_NOT, (53,)),
    Refusal("config-targets", "The configuration names projections by a pattern", _DO_NOT, (54,)),
    Refusal("config-rank", "The configuration asks for a rank or a scale that no adapter needs", _DO_NOT, (55,)),
    Refusal("config-differs", "Manifest, configuration and weights do not say the same", _DO_NOT),
    Refusal("base-fingerprint", "The base of this name that is here is not the one it was made for", _BASE, (56,)),
    Refusal("base-shape", "The weights do not fit the base that the bundle names", _DO_NOT, (51,)),
    # -- signatures ---------------------------------------------------------------------------------------------------
    Refusal("unsigned", "It carries no signature", _ASK, (18,)),
    Refusal("envelope", "Its signature is not in the form of a DSSE envelope", _ASK, (66,)),
    Refusal("bad-signature", "A signature on it does not fit what it signs", _DO_NOT, (19, 20)),
    Refusal("payload-type", "What is signed is of another kind than what was asked for", _DO_NOT, (21,)),
    Refusal("threshold", "Fewer of its publisher's keys have signed it than must", _DO_NOT, (22, 29)),
    Refusal("weak-key", "A key is one of those for which anybody can make signatures", _DO_NOT, (23,)),
    Refusal("key", "A public key is no Ed25519 key", _DO_NOT),
    Refusal("signature-form", "A signature is not in the one form that Ed25519 allows", _DO_NOT, (24,)),
    Refusal(
        "cannot-check-signature",
        "Its signature could not be checked",
        "nothing was taken; see that the signer's keys are known, then try again",
        error=Unchecked,
    ),
    # -- publishers and pins ------------------------------------------------------------------------------------------
    Refusal(
        "new-publisher",
        "Its publisher was never met before",
        "compare the six words with the publisher, then confirm them",
        error=NotConfirmed,
    ),
    Refusal(
        "key-changed",
        "Its publisher is known by other keys",
        "do not take it; where the publisher says why, pin the new keys and name the old fingerprint",
        (25,),
    ),
    Refusal("rotation", "New keys of its publisher are not signed by the old ones", _DO_NOT, (26,)),
    Refusal(
        "key-retired",
        "It is signed with keys that its publisher has since replaced",
        "take it from a registry that lists it, or ask the publisher for a newer one",
    ),
    Refusal("revoked", "It was revoked", "do not use it", (27,)),
    Refusal(
        "rollback",
        "It is older than what was taken from its publisher before",
        "go back with `nightschool rollback` where that is wanted",
        (28,),
    ),
    Refusal("equivocation", "Its publisher has signed two different things under one number", _DO_NOT),
    Refusal("publisher", "It is no whole document of a publisher", _ASK),
    Refusal(
        "cannot-check-trust",
        "Which publishers are believed could not be read",
        "nothing was taken; restore pins.json from a backup, or move that file alone away and meet them anew",
        error=Unchecked,
    ),
    Refusal(
        "cannot-check-revocation",
        "What was revoked could not be read",
        "nothing was taken; restore the trust folder from a backup",
        error=Unchecked,
    ),
    # -- registries ---------------------------------------------------------------------------------------------------
    Refusal(
        "new-registry",
        "The registry was never met before",
        "compare the six words with who keeps it, then confirm them",
        error=NotConfirmed,
    ),
    Refusal("not-a-registry", "There is no registry", "give the folder or the address that holds a registry.json"),
    Refusal(
        "registry-signature",
        "What the registry says is not signed by its keys",
        "do not install from it, and tell who keeps it",
    ),
    Refusal(
        "registry-rollback",
        "The registry shows an older state than it showed before",
        "do not install from it, and tell who keeps it",
        (62,),
    ),
    Refusal(
        "registry-mix",
        "A file of the registry is not the one that its metadata names",
        "try again later; if it stays so, tell who keeps it",
    ),
    Refusal("registry-metadata", "The metadata of the registry does not read", "tell who keeps it"),
    Refusal(
        "stale",
        "What the registry says is too old to be believed",
        "look for a newer copy of it; `--allow-stale` installs all the same",
        error=RegistryStale,
    ),
    Refusal(
        "unreachable",
        "The registry could not be reached",
        "what is installed works on; try again later",
        error=Unchecked,
    ),
    Refusal("content-encoding", "The server sends another encoding than was asked for", "tell who keeps it", (59,)),
    Refusal(
        "too-long", "The server sends more than it said", "try again later; if it stays so, tell who keeps it", (60,)
    ),
    Refusal("redirect", "The server sends the reader to another place", "tell who keeps it", (61,)),
    Refusal("listing", "The bundle is not the one that the registry lists", _DO_NOT),
    Refusal("taken-name", "Another publisher has a slot of this name in the registry", "give the slot another name"),
    # -- JSON ---------------------------------------------------------------------------------------------------------
    Refusal("json", "It is not valid JSON", _ASK),
    Refusal("json-size", "Its JSON is longer than allowed", _ASK),
    Refusal("json-duplicate", "Its JSON names a field twice", _DO_NOT, (30,)),
    Refusal("json-number", "Its JSON has a number that is none, or that is too large", _DO_NOT, (31,)),
    Refusal("json-depth", "Its JSON is nested too deeply", _DO_NOT, (32,)),
    Refusal("json-text", "Its text is not valid UTF-8", _DO_NOT, (33,)),
    Refusal(
        "fields",
        "It lacks a field, or has one that is unknown or not of its kind",
        "ask who made it for another, or update Night School",
        (34,),
    ),
)

REFUSALS = {row.code: row for row in _ROWS}
assert len(REFUSALS) == len(_ROWS), "two refusals have one code"


def refuse(code: str, detail: str = "") -> MarketError:
    """Return the error of a refusal, to be raised; ``detail`` says where, or what was found and what expected."""
    row = REFUSALS[code]
    where = f" ({detail})" if detail else ""
    return row.error(f"{row.sentence}{where}; {row.way_out}.", code)
