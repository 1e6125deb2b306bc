"""``nightschool serve --engine vllm``: vLLM is started, waited for, and served until somebody says stop."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .....schemas.cards import BaseCard
from .....schemas.hsp import Compute
from ....base.library import load, prepare
from ....base.size import check_cut, default_cut
from ....base.staging import Tell
from ....paths import Home
from ....settings import read_settings
from ...sockets import has_sockets
from ..journal import Journal
from ..keys import KeyRing
from ..listening import check_host, is_loopback
from ..metrics import Metrics
from ..run import Listening, Options, listen
from ..served import Served
from ..sessions import Sessions
from ..tails import Tails
from .engine import VllmEngine
from .mailbox import Mailbox
from .process import VllmOptions, VllmProcess, start
from .service import VllmService

_VERSION = re.compile(r"\bversion v?([0-9]+\.[0-9][\w.+-]{0,30})")


def serve_vllm(
    home: Home,
    options: Options,
    journal: Journal,
    tell: Tell,
    listening: Callable[[Listening], None],
    *,
    python: str = "",
    arguments: tuple[str, ...] = (),
) -> None:
    """Serve until SIGINT or SIGTERM; ``listening`` is called once it can be asked.

    Args:
        home: The profile.
        options: As for the server's own trunk; ``device`` is vLLM's affair.
        journal: Where it is written down.
        tell: Is told what is waited for.
        listening: Called once it can be asked.
        python: The interpreter of vLLM's environment; empty: this one.
        arguments: Further ones of vLLM.

    Raises:
        UsageError: If it would listen to others without keys, has no such cut, or vLLM cannot be started so.
        ModelError: If the base cannot be prepared.
        EngineError: If vLLM does not come up, or nothing can listen there.
    """
    check_host(options.host, home.serve_keys, "serve")
    base = load(prepare(options.base or read_settings(home).base, home, tell))
    base.check_whole()
    card, folder = base.card, base.folder
    cuts = tuple(sorted(set(options.cuts or (default_cut(card.layers),))))
    for cut in cuts:
        check_cut(cut, card.layers)
    asked = VllmOptions(
        folder=folder,
        layers=tuple(card.layers - cut for cut in cuts),
        context=card.context,
        python=python,
        numbers=options.numbers,
        cache_mb=options.cache_mb,
        arguments=arguments,
    )
    with tempfile.TemporaryDirectory(prefix="nightschool-vllm-") as name:  # which nobody else can enter
        tell("Starting vLLM", None)
        process = start(asked, Path(name), home.logs / "vllm.log", lambda stage: tell(stage, None))
        try:
            service = make_vllm_service(card, folder, process, options, cuts)
            keys = KeyRing(home.serve_keys, needed=not is_loopback(options.host))
            listen(service, keys, journal, options, listening)
        finally:
            process.stop()
    journal.write("stopped")


def make_vllm_service(
    card: BaseCard, folder: Path, process: VllmProcess, options: Options, cuts: tuple[int, ...]
) -> VllmService:
    """Return what answers by asking a vLLM that runs."""
    metrics = Metrics()
    sessions = Sessions(sys.maxsize, dict.fromkeys(cuts, 0), options.idle_seconds, metrics.evicted.add)
    layers = [card.layers - cut for cut in cuts]
    engine = VllmEngine(process.url, process.key, Mailbox(process.socket), width=card.width, layers=layers)
    compute = Compute(
        engine=f"vLLM {version_in(process.log)}".strip(),
        numbers=options.numbers.value if options.numbers is not None else "as stored",
        attention="paged",
    )
    served = Served(card, compute, cuts, context=card.context - 1)  # vLLM always says one token
    return VllmService(
        served,
        sessions,
        engine,
        metrics,
        streams=options.streams,
        tails=Tails(folder, card, cuts[-1]) if options.gives_tail else None,
        sockets=has_sockets(),
    )


def version_in(log: Path) -> str:
    """Return the version that vLLM says in its log; empty where it says none."""
    found = _VERSION.search(log.read_text("utf-8", "replace"))
    return found[1] if found else ""
