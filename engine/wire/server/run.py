"""``nightschool serve``: a base is loaded, its embeddings and trunk alone, and served until somebody says stop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .... import __version__
from ....schemas.cards import BaseCard
from ....schemas.errors import EngineError, UsageError
from ....schemas.hsp import Compute
from ...base.cache import token_bytes
from ...base.device import Device, place
from ...base.halves import Tail, Trunk, open_tail, open_trunk
from ...base.installed import sizes
from ...base.library import LoadedBase, load, prepare
from ...base.memory import on_a_device
from ...base.numbers import Numbers
from ...base.size import default_cut
from ...base.speed import find_speed
from ...base.staging import Tell
from ...base.trunk_alone import load_trunks
from ...paths import Home
from ...settings import read_settings
from ...threads import apart, use_all_cores
from ..sockets import has_sockets
from .allowance import MB
from .exchange import Verbs
from .journal import Journal
from .keys import KeyRing
from .listening import check_host, is_loopback, quieten, url_of, uvicorn_config
from .metrics import Metrics
from .patient import PatientServer, Serving
from .running_ahead import Guesser
from .scheduler import Pass, Scheduler
from .served import BODY_BYTES, Served
from .service import Service
from .sessions import Sessions
from .tails import Tails
from .web import make_app

_SHARE = 0.25  # of the free memory that keys and values may take where nobody says how much
_LEAST_BUDGET = 64 * MB


@dataclass(frozen=True)
class Options:
    """How to serve.

    Attributes:
        base: As ``library.prepare`` takes it; empty: what the profile starts with.
        host, port: To listen at; port 0: any that is free.
        cuts: To offer; none: the usual one of the base.
        cache_mb: Of keys, values and states; None: a quarter of the memory that is free.
        device: As the settings name one; empty: as they say.
        numbers: To keep matrices in; None: the quicker of the dense ones.
        idle_seconds: After which a session is dropped.
        streams: Whether to run ahead with guesses, for which the tail is loaded, too.
        gives_tail: Whether whoever may ask may fetch the tail of the largest cut.
    """

    base: str = ""
    host: str = "127.0.0.1"
    port: int = 8765
    cuts: tuple[int, ...] = ()
    cache_mb: int | None = None
    device: str = ""
    numbers: Numbers | None = None
    idle_seconds: float = 1800.0
    streams: bool = True
    gives_tail: bool = True


@dataclass(frozen=True)
class Listening:
    """Where a server listens and what it serves."""

    url: str
    card: BaseCard
    compute: Compute
    cuts: tuple[int, ...]
    cache_mb: int  # 0: that is another's affair
    needs_key: bool
    note: str = ""


def serve(home: Home, options: Options, journal: Journal, tell: Tell, listening: Callable[[Listening], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``listening`` is called once it can be asked.

    Raises:
        UsageError: If it would listen to others without keys, or has no such cut.
        ModelError: If the base cannot be loaded.
        EngineError: If nothing can listen there.
    """
    check_host(options.host, home.serve_keys, "serve")
    tell("Loading the trunk", None)
    service, note = apart(lambda: _load(home, options, tell))  # from now on the scheduler's thread computes
    keys = KeyRing(home.serve_keys, needed=not is_loopback(options.host))
    listen(service, keys, journal, options, listening, note=note)
    journal.write("stopped")


class Answering(Verbs, Serving, Protocol):
    """What a server runs: it answers, begins and ends."""

    served: Served
    sessions: Sessions


def listen(
    service: Answering,
    keys: KeyRing,
    journal: Journal,
    options: Options,
    listening: Callable[[Listening], None],
    *,
    note: str = "",
) -> None:
    """Answer at an address until SIGINT or SIGTERM.

    Raises:
        EngineError: If nothing can listen there.
    """

    def ready(port: int) -> None:
        budget = service.sessions.budget // MB if service.sessions.budget < sys.maxsize else 0
        served = service.served
        listening(
            Listening(url_of(options.host, port), served.card, served.compute, served.cuts, budget, keys.needed, note)
        )

    sys.setswitchinterval(0.001)  # the loop answers while the model's thread prepares its next product
    quieten(journal)
    message = BODY_BYTES if service.sockets else 0
    config = uvicorn_config(make_app(service, keys, journal), options.host, options.port, message_bytes=message)
    server = PatientServer(config, service, ready)
    try:
        server.run()
    except SystemExit as error:  # how uvicorn says that it cannot listen
        raise EngineError(
            f"Nothing can listen at {options.host}:{options.port}; another program may, so choose another --port."
        ) from error


def make_service(base: LoadedBase, device: Device, options: Options) -> Service:
    """Load the trunks of a base and return what answers for them, not started yet.

    Raises:
        UsageError: If the base has no such cut.
        ModelDamaged, DeviceFull: If it cannot be loaded.
    """
    card = base.card
    cuts = tuple(sorted(set(options.cuts or (default_cut(card.layers),))))
    tails = {cut: open_tail(base, cut) for cut in cuts} if options.streams else {}
    trunks = {cut: open_trunk(base, cut) for cut in cuts} if options.streams else load_trunks(base, cuts)
    base.kept.clear()
    metrics = Metrics()

    def told(took: Pass) -> None:
        metrics.passes.add()
        metrics.batched.add(took.streams)
        metrics.pass_seconds.observe(took.seconds)

    each = {cut: _token_bytes(trunk, card.width) for cut, trunk in trunks.items()}
    budget = options.cache_mb * MB if options.cache_mb else max(_LEAST_BUDGET, int(_SHARE * _free(device)))
    sessions = Sessions(budget, each, options.idle_seconds, metrics.evicted.add)
    compute = Compute(
        engine=f"nightschool {__version__}",
        device=device.title or device.name,
        numbers=base.numbers.value,
        cache=base.numbers.value if base.numbers is Numbers.FP32 else "bf16",
        attention="sdpa",
    )
    guesser = _guesser(tails, card.width) if tails else None
    parts = Tails(base.folder, card, cuts[-1]) if options.gives_tail else None
    scheduler = Scheduler(trunks, device.name, told)
    served = Served(card, compute, cuts)
    return Service(served, sessions, scheduler, metrics, guesser, tails=parts, sockets=has_sockets())


def _load(home: Home, options: Options, tell: Tell) -> tuple[Service, str]:
    settings = read_settings(home)
    folder = prepare(options.base or settings.base, home, tell)
    use_all_cores()
    base = load(folder)
    placed = place(options.device or settings.device, on_a_device(*sizes(folder)), base.card.name)
    numbers = options.numbers or find_speed(home.models, placed.device).many
    if numbers not in placed.device.numbers:
        names = ", ".join(placed.device.numbers)
        raise UsageError(f"{placed.device.name} does not compute in {numbers.value}; choose one of: {names}.")
    base = base.on(placed.device.name).computing_in(numbers)
    return make_service(base, placed.device, options), placed.note


def _token_bytes(trunk: Trunk, width: int) -> int:
    """Return what a token takes: keys and values, and its state in float32. It also makes the trunk warm."""
    cache = trunk.new_cache()
    trunk.extend_together([[0]], [cache])
    return token_bytes(cache) + 4 * width


def _guesser(tails: dict[int, Tail], width: int) -> Guesser:
    """Return what guesses with these tails, and make them warm."""
    import torch

    each = {}
    for cut, tail in tails.items():
        cache = tail.new_cache()
        with torch.inference_mode():
            tail.head(tail.extend(torch.zeros(1, 1, width, device=tail.device), cache))
        each[cut] = token_bytes(cache)
    return Guesser(tails, each)


def _free(device: Device) -> int:
    import psutil

    return int(psutil.virtual_memory().available) if device.is_cpu else device.free()
