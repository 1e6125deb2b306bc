import pytest
import torch

from nightschool.engine.slots.adapter import Adapter, Factors
from nightschool.engine.slots.diff import diff_versions
from nightschool.schemas.records import (
    GateResult,
    LessonOutcome,
    Sample,
    StudyReport,
    Version,
    VersionKind,
)


def adapter(folder, seed, layers):
    generator = torch.Generator().manual_seed(seed)
    made = {
        (layer, path): Factors(torch.randn(3, 8, generator=generator), torch.randn(6, 3, generator=generator))
        for layer in layers
        for path in ("self_attn.q_proj", "mlp.up_proj")
    }
    folder.mkdir()
    Adapter(made).save(folder, "base")
    return folder, {place: f.up @ f.down for place, f in made.items()}


def version(number, lessons, gates=(), samples=()):
    def result(name, value):
        return GateResult(name=name, passed=True, value=value, limit=1.0, text="")

    outcome = LessonOutcome(
        lesson=1, rule="", before=0, after=1,
        samples=[Sample(prompt=p, before="", after=after, followed=True) for p, after in samples],
    )  # fmt: skip
    report = StudyReport(accepted=True, reason="", gates=[result(*g) for g in gates], outcomes=[outcome])
    return Version(
        slot="science", number=number, kind=VersionKind.STUDY, parent=0, base="f", created=0.0, lessons=lessons,
        report=report,
    )  # fmt: skip


def test_two_generations_are_compared_in_lessons_gates_replies_and_weights(tmp_path):
    folders, updates = zip(adapter(tmp_path / "one", 1, (2, 3)), adapter(tmp_path / "other", 2, (3, 4)), strict=True)
    found = diff_versions(
        version(
            3, [1, 2], [("kept_kl", 0.1), ("sticks", 0.5), ("sticks", 0.9)], [("Why?", "Because."), ("Who?", "I.")]
        ),
        version(5, [2, 7, 8], [("kept_kl", 0.2), ("capability", 0.8)], [("Why?", "So.")]),
        {1: "Be brief.", 7: "Sing."},
        adapters=folders,
    )
    assert (found.one, found.other, found.came, found.went) == (3, 5, ["Sing.", "lesson 8"], ["Be brief."])
    assert [(row.name, row.one, row.other) for row in found.gates] == [
        ("kept_kl", 0.1, 0.2), ("capability", None, 0.8),
    ]  # fmt: skip
    assert [(row.prompt, row.one, row.other) for row in found.samples] == [("Why?", "Because.", "So.")]
    assert [row.block for row in found.blocks] == [2, 3, 4]
    for row in found.blocks:
        mine, theirs = (
            torch.cat([one[(row.block, p)].flatten() for p in ("self_attn.q_proj", "mlp.up_proj")])
            if (row.block, "mlp.up_proj") in one
            else torch.zeros(96)
            for one in updates
        )
        wanted = [float(one.norm()) for one in (mine, theirs, theirs - mine)]
        assert [row.one, row.other, row.change] == pytest.approx(wanted, rel=1e-4)


def test_a_generation_and_the_plain_base(tmp_path):
    folder, updates = adapter(tmp_path / "one", 1, (2,))
    base = Version(slot="science", number=0, kind=VersionKind.BASE, parent=None, base="", created=0.0)
    found = diff_versions(base, version(1, [1]), {1: "Be brief."}, adapters=(None, folder))
    (row,) = found.blocks
    assert (row.one, found.came) == (0.0, ["Be brief."])
    assert row.change == row.other == pytest.approx(float(torch.cat(list(updates.values())).norm()), rel=1e-4)
    assert diff_versions(base, base, {}, adapters=(None, None)).blocks == []
