"""The manifest: from the bytes of the first member to a record in which everything agrees with everything.

A manifest brings the keys that it is signed with, so that a signature alone says only that nothing was changed since;
whose keys these are is for the trust store to know.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ...schemas.bundle import FORMAT, LINES, PAYLOAD_TYPE, TEXTS, FilePart, KeyPart, Manifest, PublisherPart
from .. import dsse, strict_json
from ..keys import PublicKey
from ..refusals import refuse
from . import limits

PATHS = {
    "weights": "adapter_model.safetensors",
    "config": "slot_config.json",
    "card": "card.md",
    "metrics": "metrics.json",
}
"""How the file of each role is called."""
_LARGEST = {"weights": limits.RAW, "config": limits.CONFIG, "card": limits.CARD, "metrics": limits.METRICS}

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class Signed:
    """A manifest and what was signed.

    Attributes:
        id: Of the bundle: sha256 of the payload, whoever signs it.
        signers: The keys that signed; empty where that was not looked at.
    """

    manifest: Manifest
    id: str
    signers: tuple[PublicKey, ...] = ()


def unverified(member: bytes) -> Signed:
    """Read a manifest without a look at who signed it.

    Raises:
        Refused: If it is not one.
    """
    payload = dsse.open_envelope(member).unverified_payload
    return Signed(_checked(strict_json.loads(payload)), _id(payload))


def verified(member: bytes) -> Signed:
    """Read a manifest that enough of the keys in it have signed. Of an unsigned one only the keys are looked at.

    Nobody signs the envelope itself, so that it must be written in its one form.

    Raises:
        Refused: If it is not one, or too few signed it.
    """
    envelope = dsse.open_envelope(member)
    said = strict_json.loads(envelope.unverified_payload)
    publisher = _publisher(said)
    keys = public_keys(publisher)
    signed = dsse.verify(envelope, PAYLOAD_TYPE, keys, publisher.threshold)
    if signed.dump() != member:
        raise refuse("envelope", "it is not written in its one form")
    return Signed(_checked(said), _id(signed.payload), signed.signers)


def dump(manifest: Manifest) -> bytes:
    """Return the payload of a manifest."""
    return strict_json.dumps(manifest.model_dump(mode="json", by_alias=True))


def public_keys(publisher: PublisherPart) -> list[PublicKey]:
    """Return the keys of a publisher.

    Raises:
        Refused: ``key``, ``weak-key``, or ``fields`` where one is listed twice or there are fewer than must sign.
    """
    keys = [PublicKey.from_facts(key.model_dump()) for key in publisher.keys]
    if len(set(keys)) != len(keys) or publisher.threshold > len(keys):
        raise refuse("fields", "the publisher's keys and threshold cannot be")
    return keys


def key_parts(keys: list[PublicKey]) -> list[KeyPart]:
    """Return keys as a manifest lists them, in one order."""
    return [KeyPart.model_validate(key.facts()) for key in sorted(keys, key=lambda key: key.raw)]


def read_record(kind: type[R], said: Any) -> R:
    """Return a record of what parsed JSON says.

    Raises:
        Refused: ``text``, ``slot-name`` or ``fields``.
    """
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"])[-160:]
        if first["type"] == "string_pattern_mismatch" and first["ctx"]["pattern"] in TEXTS:
            raise refuse("text", f"in {place}") from error
        if first["loc"][-3:] == ("predicate", "slot", "name"):
            raise refuse("slot-name") from error
        shown = place.encode("ascii", "backslashreplace").decode()
        raise refuse("fields", f"{shown or 'the whole'}: {first['type'].replace('_', ' ')}") from error


def read_card(data: bytes) -> str:
    """Return the text of ``card.md``.

    Raises:
        Refused: ``json-text`` or ``text``.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise refuse("json-text", "in the card") from error
    if not re.fullmatch(LINES.removeprefix("^").removesuffix("$"), text):
        raise refuse("text", "in the card")
    return text


def _id(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def _publisher(said: Any) -> PublisherPart:
    """Return who says to have signed, from a manifest that is not checked yet."""
    match said:
        case {"predicate": {"publisher": dict(publisher)}}:
            return read_record(PublisherPart, publisher)
    raise refuse("fields", "it names no publisher")


def _checked(said: Any) -> Manifest:
    match said:
        case {"predicate": {"format": number}} if number != FORMAT or isinstance(number, bool):
            raise refuse("format")
        case {"predicate": {"requires": [_, *_]}}:
            raise refuse("requires")
    manifest = read_record(Manifest, said)
    _check_files(manifest)
    adapter = manifest.predicate.adapter
    if adapter.alpha / (math.sqrt(adapter.r) if adapter.rslora else adapter.r) > limits.SCALE:
        raise refuse("config-rank")
    public_keys(manifest.publisher)
    return manifest


def _check_files(manifest: Manifest) -> None:
    files = manifest.predicate.files
    if [(row.name, row.digest.sha256) for row in manifest.subject] != [(file.path, file.raw_sha256) for file in files]:
        raise refuse("subject")
    roles = [file.role for file in files]
    if len(set(roles)) != len(roles) or not {"weights", "config"} <= set(roles):
        raise refuse("fields", "a role is there twice, or missing")
    if len({file.blob for file in files}) != len(files):
        raise refuse("fields", "two files share their bytes")
    for file in files:
        _check_file(file)
    if sum(file.raw_size for file in files) > limits.RAW:
        raise refuse("too-large")


def _check_file(file: FilePart) -> None:
    if file.path != PATHS[file.role]:
        raise refuse("fields", "a file's name is not that of its role")
    if file.raw_size > _LARGEST[file.role]:
        raise refuse("card-size" if file.role == "card" else "too-large")
    if file.codec == "stp1" and file.role != "weights":
        raise refuse("fields", "only weights are stored in planes")
