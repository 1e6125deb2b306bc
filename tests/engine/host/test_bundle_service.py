"""What the engine says of a version to be shared, and how it keeps one that came in a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightschool.engine.slots.adapter import Adapter
from nightschool.schemas import messages as ask
from nightschool.schemas.errors import ModelNotFound, NotFound, Refused, UsageError
from nightschool.schemas.records import (
    BundleOrigin,
    CurvePoint,
    GateResult,
    LessonOutcome,
    LessonState,
    Sample,
    Step,
    StudyReport,
    StudyState,
    VersionKind,
)
from nightschool.schemas.trust import Revocation, RevokedKind

from .test_portability_service import theirs as theirs

ORIGIN = BundleOrigin(
    id="ab" * 32, publisher="ann", slot="captain", version="1.0.0", seq=1, signers=["cd" * 32], threshold=1
)
SECRET = "My sister Ingrid lives at 4 Elm Street"


def taking(folder, base, into="captain", **more):
    return ask.TakeBundle(folder=str(folder), base=base, origin=ORIGIN, into=into, title="Captain", **more)


@pytest.fixture
def installed_base(tiny_base_folder, desk, monkeypatch):
    """The tiny base lies in the profile, prepared."""
    from nightschool.engine.base.library import prepare

    prepare(str(tiny_base_folder), desk.home, lambda stage, fraction: None)


async def test_a_bundle_is_tried_and_kept_without_answering(desk, theirs, tiny_base, runner):
    taken = await desk.ask(taking(theirs, tiny_base.card.fingerprint, system_prompt="You sail."))
    assert taken.study.state is StudyState.ACCEPTED and taken.note == ""
    version = taken.version
    assert (version.number, version.kind, version.current, version.origins) == (1, VersionKind.IMPORT, False, [ORIGIN])
    slot = desk.rooms.store.slot("captain")
    assert (slot.title, slot.system_prompt, slot.current) == ("Captain", "You sail.", 0)
    await desk.ask(ask.Rollback(slot="captain", to=1))
    current = desk.rooms.store.current("captain")
    assert current.restores == 1 and current.origins == [ORIGIN]
    await desk.ask(ask.Rollback(slot="captain"))
    assert desk.rooms.store.current("captain").restores == 0


async def test_a_bundle_waits_beside_what_a_slot_has_learned(desk, theirs, tiny_base, runner):
    (theirs / "adapter_config.json").write_text(
        (theirs / "adapter_config.json").read_text().replace('"lora_alpha": 12', '"lora_alpha": 4')
    )
    desk.rooms.store.add_version("science", theirs, base=tiny_base.card.fingerprint)
    taken = await desk.ask(taking(theirs, tiny_base.card.fingerprint, into="science"))
    assert taken.version.number == 2
    assert desk.rooms.store.current("science").number == 1


async def test_of_a_bundle_that_the_gates_refuse_only_the_report_stays(desk, theirs, tiny_base, runner):
    runner.state = StudyState.REJECTED
    taken = await desk.ask(taking(theirs, tiny_base.card.fingerprint))
    assert taken.version is None and taken.study.state is StudyState.REJECTED
    assert "captain" not in [slot.name for slot in desk.rooms.store.list()]


async def test_where_its_base_is_not_loaded_it_is_kept_untried(desk, theirs):
    taken = await desk.ask(taking(theirs, "ef" * 32))
    assert taken.study is None and "were not tried" in taken.note
    assert (taken.version.base, taken.version.current) == ("ef" * 32, False)
    folder = desk.rooms.store.adapter_folder("captain", 1)
    assert Adapter.load(folder).rank == 4
    desk.model.failure = ModelNotFound("There is none.")
    assert "no base is loaded" in (await desk.ask(taking(theirs, "ef" * 32))).note


async def test_what_does_not_fit_is_refused_before_a_slot_is_made(desk, theirs, tiny_base, runner):
    (theirs / "adapter_model.safetensors").unlink()
    with pytest.raises(NotFound):
        await desk.ask(taking(theirs, tiny_base.card.fingerprint))
    with pytest.raises(UsageError, match="cannot name"):
        await desk.ask(taking(theirs, tiny_base.card.fingerprint, into="../x"))
    assert len(desk.rooms.store.list()) == 4


async def test_what_was_revoked_is_not_activated(desk, theirs, tiny_base, runner, home):
    from nightschool.engine.slots.revoked import Revoked

    await desk.ask(taking(theirs, tiny_base.card.fingerprint))
    row = Revocation(kind=RevokedKind.BUNDLE, id=ORIGIN.id, reason="stolen", by="publisher ann", seen=0.0)
    home.trust.mkdir()
    (home.trust / "revocations.json").write_text(json.dumps({"revocations": [row.model_dump(mode="json")]}))
    desk.rooms.store._permit = Revoked(home.trust)
    with pytest.raises(Refused, match="stolen"):
        await desk.ask(ask.Rollback(slot="captain", to=1))
    assert desk.rooms.store.current("captain").number == 0


def learned(desk, theirs, fingerprint):
    """A version that knows a lesson, with a report that quotes it and replies to it."""
    records = desk.rooms.records
    lesson = records.add_lesson(
        "science", f"Say {SECRET}", steps=[Step(rewriter="opening", args={"text": SECRET})], reason=SECRET
    ).id
    records.update_lesson(lesson, state=LessonState.LEARNED)
    sample = Sample(prompt=f"{SECRET}?", before=SECRET, after=SECRET, followed=True)
    report = StudyReport(
        accepted=True,
        reason=SECRET,
        outcomes=[LessonOutcome(lesson=lesson, rule=SECRET, before=0.0, after=1.0, samples=[sample])],
        gates=[GateResult(name="safety", passed=True, value=0.01, limit=0.1, text=SECRET)],
        curve=[CurvePoint(step=1, loss=2.0, kl=0.0)],
        steps=24,
        examples=40,
        trainer="tail-lora",
    )
    (theirs / "adapter_config.json").write_text(
        (theirs / "adapter_config.json").read_text().replace('"lora_alpha": 12', '"lora_alpha": 4')
    )
    return desk.rooms.store.add_version("science", theirs, base=fingerprint, lessons=[lesson], report=report)


async def test_nothing_that_was_said_or_taught_is_said_to_others(desk, theirs, tiny_base, installed_base, tmp_path):
    """Of the report the figures alone; neither the engine's words nor the bundle made of them hold the lesson."""
    from nightschool.marketplace.bundle.pack import pack
    from nightschool.tests.marketplace.bundle.making import KEY
    from nightschool.tui.bundles import Choice, draft_of

    talk = await desk.conversation()
    await desk.say(SECRET, talk)
    await desk.ask(ask.UpdateSlot(name="science", system_prompt=SECRET, description=SECRET))
    learned(desk, theirs, tiny_base.card.fingerprint)
    shared = await desk.ask(ask.DescribeVersion(slot="science"))
    assert (shared.steps, shared.examples, shared.trainer) == (24, 40, "tail-lora")
    assert (shared.gates[0].name, shared.gates[0].value) == ("safety", 0.01)
    assert shared.base.tensors_hash == tiny_base.card.tensors_hash
    weights = tmp_path / "weights"
    weights.write_bytes((Path(shared.folder) / "adapter_model.safetensors").read_bytes())
    signed = pack(tmp_path / "x.slot", weights, draft_of(shared, Choice(publisher="ann", licence="MIT")), [KEY])
    for text in (shared.model_dump_json(), signed.manifest.model_dump_json()):
        for word in ("Ingrid", "Elm", "sister"):
            assert word not in text
    assert b"Ingrid" not in (tmp_path / "x.slot").read_bytes()


async def test_what_it_was_made_of_is_said_by_hash(desk, theirs, tiny_base, installed_base, runner):
    desk.status = desk.status.model_copy(update={"base": tiny_base.card})
    await desk.ask(taking(theirs, tiny_base.card.fingerprint))
    shared = await desk.ask(ask.DescribeVersion(slot="captain", number=1))
    (parent,) = shared.parents
    assert (parent.bundle, parent.weight, parent.method) == (ORIGIN.id, 1.0, "as it came")


async def test_what_cannot_be_shared_is_said(desk, theirs):
    with pytest.raises(UsageError, match="plain base"):
        await desk.ask(ask.DescribeVersion(slot="science"))
    (theirs / "adapter_config.json").write_text(
        (theirs / "adapter_config.json").read_text().replace('"lora_alpha": 12', '"lora_alpha": 4')
    )
    desk.rooms.store.add_version("science", theirs, base="ef" * 32)
    with pytest.raises(ModelNotFound, match="models pull"):
        await desk.ask(ask.DescribeVersion(slot="science"))


async def test_an_adapter_of_a_bundle_is_written_as_gguf_by_its_base_that_is_here(
    desk, theirs, tiny_base, installed_base, tmp_path
):
    import gguf

    desk.model.failure = ModelNotFound("None is loaded, and none is needed.")
    target = tmp_path / "out"
    made = await desk.ask(
        ask.ConvertBundle(folder=str(theirs), base=tiny_base.card.fingerprint, to=str(target), system="You sail.")
    )
    assert (made.folder, made.bytes) == (str(target), sum(path.stat().st_size for path in target.iterdir()))
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(target / "adapter.gguf").tensors}
    mine = json.loads((theirs / "adapter_config.json").read_text())
    assert (mine["lora_alpha"], mine["r"]) == (12, 4), "its scale of 3 is folded in"
    (theirs / "adapter_config.json").write_text(json.dumps({**mine, "lora_alpha": 4}))
    f = Adapter.load(theirs).factors[3, "mlp.down_proj"]
    found = tensors["blk.3.ffn_down.weight.lora_b"] @ tensors["blk.3.ffn_down.weight.lora_a"]
    assert abs(found - 3 * (f.up @ f.down).numpy()).max() < 1e-5
    assert 'SYSTEM """You sail."""' in (target / "Modelfile").read_text()
    with pytest.raises(ModelNotFound, match="models pull"):
        await desk.ask(ask.ConvertBundle(folder=str(theirs), base="ef" * 32, to=str(tmp_path / "other")))
