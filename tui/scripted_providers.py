"""The providers of the scripted engine: named, chosen, forgotten, and measured without a network."""

from __future__ import annotations

from collections.abc import Callable

from ..schemas import messages as ask
from ..schemas.errors import NotFound, UsageError
from ..schemas.events import Event
from ..schemas.hsp import BaseIdentity, CodecInfo, Compute, Description, Limits, Norm
from ..schemas.providers import CodecFound, Examined, KnownProvider, KnownProviders, TrafficFacts
from ..schemas.records import Slot

Tell = Callable[[Event], None]

CODECS = (("f32", 32.0, 2304, 0.0, 1.0), ("bf16", 16.0, 1152, 5.4e-6, 0.999), ("i8h64", 8.25, 594, 5.4e-5, 0.998))


class ScriptedProviders:
    """The part of the scripted engine that answers ``providers.*``."""

    slots: dict[str, Slot]

    def __init__(self) -> None:
        self.providers: dict[str, KnownProvider] = {}
        self.used = ["local"]
        self.studied_at = ["local"]

    def traffic(self, slot: str, said: int) -> TrafficFacts | None:
        """Return what a reply of so many pieces costs; None: it computes here."""
        where = (self.slots[slot].provider if slot else "") or ", ".join(self.used)
        if where == "local":
            return None
        return TrafficFacts(
            provider=where, tokens=said, tokens_per_second=12.5, bytes_per_token=640.0, agreement=0.82,
            round_trips=1 + said // 5, saved=said - said // 5,
        )  # fmt: skip

    async def _providers_list(self, request: ask.ListProviders, tell: Tell) -> KnownProviders:
        by_slot = {name: [s.name for s in self.slots.values() if s.provider == name] for name in self.providers}
        rows = [
            row.model_copy(
                update={
                    "used": row.name in self.used,
                    "studies": row.name in self.studied_at,
                    "slots": by_slot[row.name],
                }
            )
            for row in self.providers.values()
        ]
        return KnownProviders(provider=self.used, study_provider=self.studied_at, servers=rows)

    async def _providers_add(self, request: ask.AddProvider, tell: Tell) -> KnownProvider:
        if request.name in self.providers:
            raise UsageError(f"There is a provider {request.name} already.")
        fields = request.model_dump(exclude={"token"})
        self.providers[request.name] = KnownProvider(**fields)
        return self.providers[request.name]

    async def _providers_remove(self, request: ask.RemoveProvider, tell: Tell) -> None:
        self._named(request.name)
        if request.name in self.used:
            raise UsageError(f"The profile computes at {request.name}; use local first.")
        del self.providers[request.name]

    async def _providers_use(self, request: ask.UseProviders, tell: Tell) -> KnownProviders:
        for name in request.names:
            self._named(name)
        if request.studies:
            self.studied_at = list(request.names)
        else:
            self.used = list(request.names)
        return await self._providers_list(ask.ListProviders(), tell)

    async def _providers_test(self, request: ask.ExamineProvider, tell: Tell) -> Examined:
        row = self._named(request.server)
        zero = "ab" * 32
        base = BaseIdentity(
            name="SmolLM2-135M-Instruct", family="llama", layers=30, width=576, vocabulary=49152, context=8192,
            fingerprint=zero, config_hash=zero, tokenizer_hash=zero, template_hash=zero, tensors_hash=zero,
        )  # fmt: skip
        said = Description(
            base=base,
            compute=Compute(engine="scripted", device="cpu", numbers="fp32", cache="fp32", attention="sdpa"),
            cuts=[8],
            codecs=[CodecInfo(name=name, bits=bits, error=None) for name, bits, *_ in CODECS],
            zstd=True,
            verbs=["step"],
            limits=Limits(
                step_tokens=512, capture_tokens=512, capture_sequences=8, body_bytes=1 << 20, sessions=4, idle_seconds=9
            ),
        )
        if row.kind != "hsp":
            notes = ["It gives final states alone (cut 0): a slot that has learned in blocks cannot speak there."]
            said = said.model_copy(update={"cuts": [0], "verbs": [], "norm": Norm.AFTER, "notes": notes})
            return Examined(url=row.url, description=said, round_trip_ms=1.2, cut=0, distance=1e-5, step_ms=90.5)
        codecs = tuple(
            CodecFound(name=name, bits=bits, bytes_a_token=size, kl=kl, same_top=same)
            for name, bits, size, kl, same in CODECS
        )
        return Examined(
            url=row.url, description=said, round_trip_ms=1.2, cut=8, distance=1e-5, step_ms=9.5, codecs=codecs,
            chosen=row.codec,
        )  # fmt: skip

    def _named(self, name: str) -> KnownProvider:
        if name == "local":
            return KnownProvider(name=name, url="")
        if name not in self.providers:
            raise NotFound(f"There is no provider {name}.")
        return self.providers[name]
