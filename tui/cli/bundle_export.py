"""The adapter of a bundle for other programs: a PEFT folder, the same with an OMS signature, or a GGUF LoRA."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...schemas.errors import UsageError
from ...schemas.messages import ConvertBundle
from .card import FILE
from .desk import Desk, talks_alone
from .options import examples, json_option
from .plain import give, home_of

if TYPE_CHECKING:
    from ...engine.paths import Home
    from ...marketplace.bundle.importing import Taken
    from ...marketplace.bundle.manifest import Signed

FOLDER = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        "nightschool bundle export captain.slot --peft ./captain",
        "nightschool bundle export captain.slot --gguf ./captain-gguf",
        "nightschool bundle export captain.slot --oms ./captain --key ~/ann.pem --json",
    )
)
@click.argument("file", type=FILE)
@click.option("--peft", type=FOLDER, metavar="FOLDER", help="As PEFT reads it; a folder that is not there yet.")
@click.option("--gguf", type=FOLDER, metavar="FOLDER", help="A LoRA for llama.cpp with a Modelfile for Ollama.")
@click.option("--oms", type=FOLDER, metavar="FOLDER", help="As --peft, signed as OpenSSF Model Signing does.")
@click.option("--key", type=FILE, help="For --oms: a private key of Ed25519, P-256, P-384 or P-521.")
@json_option
@click.pass_context
def export(
    context: click.Context,
    file: Path,
    *,
    peft: Path | None,
    gguf: Path | None,
    oms: Path | None,
    key: Path | None,
    as_json: bool,
) -> None:
    """Write the adapter of a bundle for other programs, with a configuration that was made here.

    It is checked as for an import. --gguf needs the bundle's base on this machine. --oms puts `model.sig` into the
    folder: a Sigstore bundle over its files, which `model_signing verify key` reads; of its keys that tool knows P-256,
    P-384 and P-521, a signature with an Ed25519 key is for those who know that key.
    """
    forms = [form for form in (peft, gguf, oms) if form is not None]
    if len(forms) != 1:
        raise UsageError("Give one of --peft, --gguf and --oms with a folder that is not there yet.")
    if (key is None) != (oms is None):
        raise UsageError("--oms and --key belong together: the key signs the folder.")
    home, target = home_of(context), forms[0].absolute()
    if gguf is not None:
        talks_alone(_convert)(as_json=as_json, file=file, target=target)
    elif key is not None:
        _sign(home, file, target, key, as_json=as_json)
    else:
        from ...engine.slots.portable import export_peft

        with _checked(home, file) as found:
            export_peft(found.folder, target)
        give({"folder": str(target)}, [f"The adapter is in {target}."], as_json=as_json)


def _sign(home: Home, file: Path, target: Path, key: Path, *, as_json: bool) -> None:
    from ...engine.slots.portable import export_peft
    from ...marketplace.oms import SIGNATURE, sign_folder
    from ...marketplace.oms_keys import load_signer
    from .passphrase import opened

    signer = opened(key, load_signer)
    with _checked(home, file) as found:
        export_peft(found.folder, target, lambda part: sign_folder(part, target.name, signer))
    facts: dict[str, Any] = {
        "folder": str(target),
        "signature": str(target / SIGNATURE),
        "key": {"kind": signer.kind, "hint": signer.hint, "public": signer.public_pem.decode()},
    }
    lines = [f"The adapter is in {target}, signed in {SIGNATURE}. Who checks it needs this key:", ""]
    lines += signer.public_pem.decode().splitlines()
    if not signer.registered:
        lines += ["", "It is no key that every OMS verifier knows; sign with one of P-256 for those."]
    give(facts, lines, as_json=as_json)


async def _convert(desk: Desk, file: Path, target: Path) -> None:
    with _checked(desk.profile.home, file) as found:
        said = found.manifest.predicate
        request = ConvertBundle(
            folder=str(found.folder),
            base=said.base.fingerprint,
            to=str(target),
            system=said.card.system_prompt or "",
        )
        made = await desk.ask(request)
    desk.give(made, [f"The adapter is in {made.folder} as a GGUF LoRA ({made.bytes / 1e6:.1f} MB)."])


def _checked(home: Home, file: Path) -> AbstractContextManager[Taken]:
    """Give what is in a bundle, checked as for an import but for a publisher that was not met yet."""
    from ...marketplace.trust.judging import Offer
    from ...marketplace.trust.store import TrustStore
    from ..taking import checked

    def trust(signed: Signed) -> None:
        store, offer = TrustStore(home.trust), Offer.of(signed)
        judgement = store.judge(offer)
        if judgement.refusal is not None and judgement.refusal.code not in ("new-publisher", "rollback"):
            store.check(offer)

    return checked(file, home, trust)
