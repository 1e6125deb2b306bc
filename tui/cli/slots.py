"""Commands of slots and their generations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...schemas.errors import Damaged, UsageError
from ...schemas.messages import (
    BlendSlots,
    CheckSlots,
    CollectGarbage,
    CompareSlots,
    CreateSlot,
    DiffVersions,
    ExportSlot,
    ForkSlot,
    ImportAdapter,
    ListSlots,
    TeachSlot,
    UpdateSlot,
)
from ...schemas.records import AdapterForm, MergeOptions, Slot, VersionDiff
from ...schemas.sharing import ON_HUB
from ..paths import expanded
from . import hub, slot_life
from .desk import Desk, named_weights, talks, talks_alone
from .learning import carry_out
from .options import ListingGroup, Weights, examples, sampling_of, sampling_options
from .output import table

HEADS = ("SLOT", "TITLE", "GENERATION", "WAITING", "MODEL", "SPEAKS WITH", "DESCRIPTION")


@click.group(
    cls=ListingGroup,
    epilog=examples(
        "nightschool slots",
        'nightschool slots create "Cooking" --description "Recipes in grams"',
        "nightschool slots set cooking --temperature 0.7",
    ),
)
def slots() -> None:
    """List, make, change, rename, archive, delete, fork, blend, compare, check, clean, export, import, publish."""


for command in (slot_life.rename, slot_life.archive, slot_life.unarchive, slot_life.delete, slot_life.undelete):
    slots.add_command(command)
slots.add_command(hub.publish)


@slots.command("list", epilog=examples("nightschool slots list --json", "nightschool slots list --archived --deleted"))
@click.option("--archived", is_flag=True, help="The archived ones too.")
@click.option("--deleted", is_flag=True, help="The deleted ones too, which can still be brought back.")
@talks
async def list_slots(desk: Desk, *, archived: bool, deleted: bool) -> None:
    """List the slots, in the order they were made."""
    rows = await desk.ask(ListSlots(archived=archived, deleted=deleted))
    desk.give(rows, _lines(rows, states=archived or deleted))


@slots.command(epilog=examples('nightschool slots create "Cooking" --system-prompt "You cook with what is there."'))
@click.argument("title")
@click.option("--name", default="", help="Its folder and handle; without it made of the title.")
@click.option("--description", default="", help="What it is for, in a sentence.")
@click.option("--system-prompt", default="", help="What the model is told before every conversation.")
@talks
async def create(desk: Desk, title: str, name: str, description: str, system_prompt: str) -> None:
    """Make a slot of your own."""
    made = await desk.ask(CreateSlot(title=title, name=name, description=description, system_prompt=system_prompt))
    desk.give(made, _lines([made]))


@slots.command(
    "set",
    epilog=examples(
        "nightschool slots set science --temperature 0.7",
        "nightschool slots set creative --blend science=0.7,creative=0.3",
        "nightschool slots set professional --provider local",
    ),
)
@click.argument("slot")
@click.option("--title", help="How it is called on screens.")
@click.option("--description", help="What it is for, in a sentence.")
@click.option("--system-prompt", help="What the model is told before every conversation.")
@click.option("--temperature", type=click.FloatRange(0, 5), help="0 takes the likeliest token.")
@click.option("--base", metavar="MODEL", help='The one model it answers with, as `nightschool models` has it; "": any.')
@click.option(
    "--blend", type=Weights(), metavar="SLOT=WEIGHT,...",
    help='Speak with several slots at once, each with a weight, in place of its own adapter; "": alone again.',
)  # fmt: skip
@click.option(
    "--provider", metavar="NAME|local", help='Where its lower blocks compute; "": where those of the profile do.'
)
@talks
async def change(
    desk: Desk,
    slot: str,
    *,
    title: str | None,
    description: str | None,
    system_prompt: str | None,
    temperature: float | None,
    base: str | None,
    blend: dict[str, float] | None,
    provider: str | None,
) -> None:
    """Change a slot's settings; what is not given stays."""
    if (title, description, system_prompt, temperature, base, blend, provider) == (None,) * 7:
        raise UsageError(
            "Nothing is to be changed; give --title, --description, --system-prompt, --temperature, --base, --blend or "
            "--provider."
        )
    changed = await desk.ask(
        UpdateSlot(
            name=(await desk.slot(slot)).name,
            title=title,
            description=description,
            system_prompt=system_prompt,
            temperature=temperature,
            base=base,
            blend=None if blend is None else await named_weights(desk, blend),
            provider=provider,
        )
    )
    desk.give(changed, _lines([changed]))


@slots.command(
    epilog=examples(
        "nightschool slots blend science creative --weights 0.7,0.3 --into creative",
        "nightschool slots blend science gaming creative --strategy compact --rank 16 --into mixed",
        "nightschool slots blend science creative --strategy ties --density 0.3 --into mixed --json",
    )
)
@click.argument("names", metavar="SLOT SLOT...", nargs=-1, required=True)
@click.option("--into", required=True, metavar="SLOT", help="The slot that gets the new generation.")
@click.option("--weights", metavar="N,N,...", help="How much of each, in their order; without it alike, 1 together.")
@click.option("--strategy", default="exact", show_default=True, help="How they are merged.")
@click.option("--rank", type=click.IntRange(min=1), help="Of the adapter that comes out.")
@click.option("--energy", type=click.FloatRange(0, 1, min_open=True), help="The smallest rank that keeps this share.")
@click.option("--density", type=click.FloatRange(0, 1, min_open=True), help="Share of each slot's numbers to keep.")
@click.option("--seed", type=int, default=0, help="Of what is drawn by chance.")
@talks
async def blend(
    desk: Desk,
    names: tuple[str, ...],
    into: str,
    weights: str | None,
    strategy: str,
    **options: Any,
) -> int:
    """Merge what several slots have learned into a new generation of one.

    Strategies: exact (the weighted sum; ranks add up), compact (cut down to a rank or a share of energy), slerp, ties,
    dare, dare-ties, breadcrumbs, and those of plugins. The merge counts only if it passes the gates of a study; the
    report on stdout says which rules are kept. Exit codes are those of `nightschool study`. To speak with several
    slots without a merge, see --blend of `slots set` and of `ask`.
    """
    shares = _weights(weights, len(names))
    found = await named_weights(desk, dict(zip(names, shares, strict=True)))
    request = BlendSlots(
        weights=found, into=(await desk.slot(into)).name, strategy=strategy, options=MergeOptions(**options)
    )
    return await carry_out(desk, request)


@slots.command(epilog=examples('nightschool slots compare science creative "Tell me of the moon."'))
@click.argument("names", metavar="SLOT SLOT...", nargs=-1, required=True)
@click.argument("text")
@sampling_options
@talks
async def compare(desk: Desk, names: tuple[str, ...], text: str, **sampling: Any) -> None:
    """Ask several slots the same, side by side.

    Nothing of it is stored or learned from. All are told the system prompt of the first.
    """
    slots = [(await desk.slot(name)).name for name in names]
    found = await desk.ask(CompareSlots(text=text, slots=slots, sampling=sampling_of(sampling)))
    desk.give(found, [line for row in found for line in (f"== {row.slot}, generation {row.version}", row.text, "")])


@slots.command(epilog=examples('nightschool slots fork science "Field notes"'))
@click.argument("slot")
@click.argument("title")
@click.option("--name", default="", help="Its folder and handle; without it made of the title.")
@talks_alone
async def fork(desk: Desk, slot: str, title: str, name: str) -> None:
    """Begin a slot where another one is now, with its settings, what it learned and its lessons."""
    made = await desk.ask(ForkSlot(slot=(await desk.slot(slot)).name, title=title, name=name))
    desk.give(made, _lines([made]))


@slots.command(epilog=examples("nightschool slots diff science 3 5", "nightschool slots diff science 0 5 --json"))
@click.argument("slot")
@click.argument("one", type=click.IntRange(min=0))
@click.argument("other", type=click.IntRange(min=0))
@talks_alone
async def diff(desk: Desk, slot: str, one: int, other: int) -> None:
    """Compare two generations of a slot.

    Rules that came and went, the figures of their gates, how far the weights of each block moved, and replies to the
    same prompts.
    """
    found = await desk.ask(DiffVersions(slot=(await desk.slot(slot)).name, one=one, other=other))
    desk.give(found, _diff_lines(found))


def _diff_lines(found: VersionDiff) -> list[str]:
    lines = [*(f"+ {rule}" for rule in found.came), *(f"- {rule}" for rule in found.went)]
    heads = ("GATE", f"GENERATION {found.one}", f"GENERATION {found.other}")
    lines += table([heads, *((row.name, _figure(row.one), _figure(row.other)) for row in found.gates)])
    heads = ("BLOCK", f"MOVED BY {found.one}", f"MOVED BY {found.other}", "APART")
    lines += table(
        [heads, *((row.block, f"{row.one:.3g}", f"{row.other:.3g}", f"{row.change:.3g}") for row in found.blocks)]
    )
    for pair in found.samples:
        lines += ["", f"> {pair.prompt}", f"{found.one}: {pair.one}", f"{found.other}: {pair.other}"]
    return lines


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


@slots.command(
    epilog=examples(
        "nightschool slots export science --to ./science",
        "nightschool slots export science --form gguf --to ./science-gguf",
        "nightschool slots export science --form merged --generation 3 --to ./science-model",
    )
)
@click.argument("slot")
@click.option("--to", required=True, metavar="FOLDER", help="A folder that is not there yet.")
@click.option(
    "--form", type=click.Choice([form.value for form in AdapterForm]), default="peft", show_default=True,
    help="peft: its files; gguf: a LoRA for llama.cpp and Ollama; merged: a whole model in safetensors.",
)  # fmt: skip
@click.option("--generation", type=click.IntRange(min=1), metavar="N", help="Without it the current one.")
@talks
async def export(desk: Desk, slot: str, to: str, form: str, generation: int | None) -> None:
    """Write what a slot has learned for other programs."""
    name, target = (await desk.slot(slot)).name, str(expanded(to).absolute())
    made = await desk.ask(ExportSlot(slot=name, to=target, form=AdapterForm(form), number=generation))
    desk.give(made, [f"Generation {made.number} of {name} is in {made.folder} ({made.bytes / 1e6:.1f} MB)."])


@slots.command(
    "import",
    epilog=examples(
        "nightschool slots import ./their-lora --into creative",
        "nightschool slots import hub:owner/name --into creative",
        "nightschool slots import hub:owner/name@v1.0 --into creative --keep-upper --json",
    ),
)
@click.argument("adapter", metavar="FOLDER|hub:OWNER/NAME[@REVISION]")
@click.option("--into", required=True, metavar="SLOT", help="The slot that gets the new generation.")
@click.option(
    "--keep-upper", is_flag=True, help="Of one that reaches below the tail, keep the rest; the report says the loss."
)
@talks
async def bring(desk: Desk, adapter: str, into: str, *, keep_upper: bool) -> int:
    """Make a PEFT LoRA from elsewhere a new generation of a slot.

    It is read as a stranger's file (safetensors alone, known names and shapes) and counts only if it passes the gates
    of a study; the report is on stdout, exit codes are those of `nightschool study`. From the Hugging Face hub two
    files are fetched, of the commit that the revision stands for now, with the token of `hf auth login`, or HF_TOKEN.
    """
    slot = (await desk.slot(into)).name
    if adapter.startswith(ON_HUB):
        found = await hub.fetch(desk, adapter)
        request = ImportAdapter(folder=found.folder, into=slot, source=found.source, keep_upper=keep_upper)
    else:
        request = ImportAdapter(folder=str(Path(adapter).absolute()), into=slot, keep_upper=keep_upper)
    return await carry_out(desk, request)


@slots.command(epilog=examples("nightschool slots teach science --base qwen2.5-1.5b"))
@click.argument("slot")
@click.option("--base", required=True, metavar="MODEL", help="That is on this machine, as `nightschool models` has it.")
@talks_alone
async def teach(desk: Desk, slot: str, base: str) -> int:
    """Learn what a slot knows on another model, too.

    All its lessons, learned and waiting, are studied there from the beginning: lessons are words and outlive weights.
    What passes the gates answers whenever that model is loaded; with the one that the slot learned on before, what was
    learned there still does. The report is on stdout, exit codes are those of `nightschool study`.
    """
    return await carry_out(desk, TeachSlot(slot=(await desk.slot(slot)).name, base=base))


@slots.command(
    epilog=examples("nightschool slots gc --dry-run", "nightschool slots gc --keep 5", "nightschool slots gc --json")
)
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Keep the files of the newest N of each slot.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@talks_alone
async def gc(desk: Desk, keep: int | None, *, dry_run: bool) -> None:
    """Remove what nothing needs, and say how much came free.

    That is what was never finished, what studies left that have ended, and deleted slots after their 30 days. Old
    generations keep their files unless --keep is given, or keep_generations in config.toml; the current one, what a
    rollback goes back to and what is pinned (`nightschool versions pin`) keep them always, and reports stay.
    """
    found = await desk.ask(CollectGarbage(keep=keep, dry_run=dry_run))
    lines = [f"{row.text} ({row.bytes / 1e6:.1f} MB)." for row in found.removed]
    total = f"{found.bytes / 1e6:.1f} MB"
    desk.give(found, [*lines, f"{total} would come free." if dry_run else f"{total} came free."])


@slots.command(epilog=examples("nightschool slots check", "nightschool slots check --json"))
@talks_alone
async def check(desk: Desk) -> int:
    """Hash every file of every generation again.

    A damaged one is replaced by a whole copy where another generation has it. The exit code is 23 if something stays
    damaged.
    """
    found = await desk.ask(CheckSlots())
    desk.give(found, [*(row.text for row in found.findings), f"{found.files} files, {found.bytes / 1e6:.1f} MB whole."])
    return 0 if all(row.repaired for row in found.findings) else Damaged.exit_code


def _weights(given: str | None, count: int) -> list[float]:
    if given is None:
        return [1 / count] * count
    try:
        found = [float(weight) for weight in given.split(",")]
    except ValueError as error:
        raise UsageError(f"{given!r} are no weights; give numbers with commas between, as in 0.7,0.3.") from error
    if len(found) != count:
        raise UsageError(f"{count} slots need as many weights, not {len(found)}; give one for each.")
    return found


def _lines(rows: list[Slot], *, states: bool = False) -> list[str]:
    lines = [HEADS, *(_slot_row(row) for row in rows)]
    if states:
        lines = [(*line, word) for line, word in zip(lines, ("STATE", *map(slot_life.state, rows)), strict=True)]
    return table(lines)


def _slot_row(row: Slot) -> tuple[object, ...]:
    blend = " + ".join(f"{slot} {weight:g}" for slot, weight in row.blend.items())
    return (row.name, row.title, row.current, row.waiting, row.base or "any", blend or "itself", row.description)
