"""Publishing a version of a slot, step by step: which one, its card, what it could give away, who signs, a registry.

Nothing is written before the fourth step, and each file is written as a whole or not at all. A passphrase lives in its
field alone, and is taken out of it when it was used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import ContentSwitcher, Input, OptionList, Select, Static
from textual.widgets.option_list import Option

from ...marketplace.key_file import load_key
from ...schemas.audit import Audit, Finding
from ...schemas.errors import NightSchoolError, UsageError
from ...schemas.events import AuditEvent, Event
from ...schemas.messages import AuditVersion, DescribeVersion, ForgetLesson, ListSlots, ListVersions
from ...schemas.records import Slot, Version
from ...schemas.sharing import Shareable
from ..bundles import Choice, draft_of, made_samples, read_samples
from ..keys import bindings_of
from ..market_words import refusal
from ..publish_words import FIELDS, SIGNATURE, TITLES, choice_of, finding_row, version_row
from ..publishing import (
    become,
    check_new,
    keeper_of,
    key_files,
    list_in,
    make_keys,
    online_key,
    own_keys,
    own_publishers,
    target_file,
    weights_of,
)
from ..safe_text import one_line, set_in
from ..widgets.status_line import bar
from .import_chats import path_of
from .work import work_on

if TYPE_CHECKING:
    from ...marketplace.bundle.manifest import Signed
    from ...marketplace.bundle.pack import Draft
    from ..app import NightSchool
    from ..session import Session

WHAT, CARD, AUDIT, SIGN, LIST, DONE = range(6)
SIGNING, LISTING = "Signing and packing", "Publishing"
"""Work that is not left half way."""
NEW = ""
"""In place of a publisher's name: one is made."""


class PublishScreen(ModalScreen[None]):
    """One step after the other; escape goes one back, and leaves at the first."""

    CSS_PATH = "publish.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(*row, priority=True) for row in bindings_of("publish")]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.step = WHAT
        self.working = ""
        """What is being done, while keys must wait."""
        self.versions: list[tuple[Slot, Version]] = []
        self.shared: Shareable | None = None
        self.choice: Choice | None = None
        self.audit: Audit | None = None
        self.accepted: set[str] = set()
        self.file: Path | None = None

    @property
    def night(self) -> NightSchool:
        """The app, by its own type."""
        return cast("NightSchool", self.app)

    def compose(self) -> ComposeResult:
        """All steps, of which one is shown, and the line that says what is wrong."""
        with Vertical(classes="dialog", id="publish") as box:
            box.border_subtitle = "ctrl+s next · esc back"
            with ContentSwitcher(initial="step0"):
                yield OptionList(id="step0", markup=False)
                with VerticalScroll(id="step1", can_focus=False):
                    for name, label, value in FIELDS:
                        yield Static(label, markup=False)
                        yield Input(value, id=name, compact=True)
                with Vertical(id="step2"):
                    with VerticalScroll():
                        yield Static("", id="audited", markup=False)
                    yield OptionList(markup=False, id="findings")
                with VerticalScroll(id="step3", can_focus=False):
                    yield Static("Who signs", markup=False)
                    yield Select[str]([("a new publisher", NEW)], value=NEW, allow_blank=False, compact=True)
                    for name, label, secret in SIGNATURE:
                        yield Static(label, markup=False, id=f"of-{name}")
                        yield Input(id=name, password=secret, compact=True)
                with VerticalScroll(id="step4", can_focus=False):
                    yield Static("", id="packed", markup=False)
                    yield Static("The folder of a registry that you keep (empty: it is not listed)", markup=False)
                    yield Input(id="folder", placeholder="./site", compact=True)
                    yield Static("Passphrase of the key that signs it (never kept)", markup=False)
                    yield Input(id="online", password=True, compact=True)
                with VerticalScroll(id="step5"):
                    yield Static("", id="published", markup=False)
            yield Static("", id="wrong", markup=False)

    def on_mount(self) -> None:
        """Begin at the first step."""
        self._go(WHAT)
        self._work("", self._list())

    # -- the way ------------------------------------------------------------------------------------------------------

    def _go(self, step: int) -> None:
        """Show a step."""
        self.step = step
        self.query_one(ContentSwitcher).current = f"step{step}"
        box = self.query_one("#publish")
        box.border_title = Content(f"Publish · {TITLES[step]}" + (f" ({step + 1} of {DONE})" if step < DONE else ""))
        box.border_subtitle = {AUDIT: "a accept · f forget its lesson · ctrl+s next · esc back", DONE: "esc back"}.get(
            step, "ctrl+s next · esc back"
        )
        self._say(Content(""))
        first = {WHAT: "#step0", CARD: "#title", AUDIT: "#findings", SIGN: "#publisher", LIST: "#folder"}.get(step)
        if first is not None:
            self.query_one(first).focus()
        self.refresh_bindings()

    def _say(self, content: Content) -> None:
        self.query_one("#wrong", Static).update(content)

    def _work(self, words: str, work: Coroutine[Any, Any, None]) -> None:
        """Do the work of a step; what is wrong is said, and the step stays."""

        async def doing() -> None:
            self.working = words
            self._say(Content.styled(f"{words} …" if words else "", "$accent"))
            self.refresh_bindings()
            try:
                await work
            except NightSchoolError as error:
                self.working = ""
                self._say(refusal(error))
            finally:
                self.working = ""
                self.refresh_bindings()

        work_on(self, doing(), group="publish", exclusive=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is begun twice, and what is being written is not left half way."""
        if action == "onward":
            return not self.working and self.step != DONE
        if action == "back":
            return self.working not in (SIGNING, LISTING)
        if action in ("accept", "forget"):
            return self.step == AUDIT and self.finding is not None
        return True

    def action_back(self) -> None:
        """One step back; from the first, and when a file was written, out."""
        if self.step in (WHAT, LIST, DONE):
            self.dismiss(None)
        else:
            self.workers.cancel_group(self, "publish")
            self._go(self.step - 1)

    def action_onward(self) -> None:
        """Do what this step is for, and go on where that is well."""
        steps = {WHAT: self._choose, CARD: self._describe, AUDIT: self._weigh, SIGN: self._sign, LIST: self._publish}
        steps[self.step]()

    def on_input_submitted(self) -> None:
        """Enter goes on."""
        if self.check_action("onward", ()):
            self.action_onward()

    def on_option_list_option_selected(self) -> None:
        """Enter goes on."""
        if self.step == WHAT and self.check_action("onward", ()):
            self.action_onward()

    # -- which --------------------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        call, rows = self.night.link.call, list[tuple[Slot, Version]]()
        for slot in await call(ListSlots()):
            rows += [(slot, row) for row in await call(ListVersions(slot=slot.name)) if row.number and not row.removed]
        self.versions = sorted(rows, key=lambda row: not row[1].current)
        options = self.query_one("#step0", OptionList)
        options.clear_options()
        options.add_options([Option(version_row(slot, version)) for slot, version in self.versions])
        options.highlighted = 0 if self.versions else None
        if not self.versions:
            self._say(Content("No slot has learned anything yet; study first (f5 in the chat)."))

    def _choose(self) -> None:
        place = self.query_one("#step0", OptionList).highlighted
        if place is not None and place < len(self.versions):
            self._work("Looking at it", self._look(*self.versions[place]))

    async def _look(self, slot: Slot, version: Version) -> None:
        self.shared = await self.night.link.call(DescribeVersion(slot=slot.name, number=version.number))
        self.audit, self.accepted = None, set()
        self.query_one("#name", Input).value = one_line(self.shared.slot, 40)
        self.query_one("#title", Input).value = one_line(self.shared.title, 80)
        self.query_one("#version_name", Input).value = f"{self.shared.number}.0.0"
        self._go(CARD)

    # -- its card -----------------------------------------------------------------------------------------------------

    def _describe(self) -> None:
        self._work("Reading the card", self._check_card())

    async def _check_card(self) -> None:
        assert self.shared is not None
        values = {name: self.query_one(f"#{name}", Input).value for name, _, _ in FIELDS}
        samples = read_samples(path_of(values["samples"])) if values["samples"].strip() else []
        questions = [text.strip() for text in values["questions"].split("|") if text.strip()]
        if questions:
            self._say(Content.styled("The base and this version answer your questions …", "$accent"))
            call = self.night.link.call
            samples += await made_samples(call, self.shared.slot, self.shared.number, questions)
        self.choice = choice_of(values, samples)
        draft_of(self.shared, self.choice)
        self._go(AUDIT)
        if self.audit is None:
            self._work("Looking for what it could give away", self._audit(self.shared))

    # -- what it could give away --------------------------------------------------------------------------------------

    async def _audit(self, shared: Shareable) -> None:
        def told(event: Event) -> None:
            if isinstance(event, AuditEvent) and self.step == AUDIT:
                words = Content.styled(f"{one_line(event.stage, 60)} …  ", "$accent")
                self._say(Content.assemble(words, bar(event.fraction, 30), f" {event.fraction:.0%}"))

        self._show_audited("Names, addresses, numbers and keys out of your own words are looked for; it takes minutes.")
        self.query_one("#findings", OptionList).clear_options()
        self.audit = await self.night.link.call(AuditVersion(slot=shared.slot, number=shared.number), told)
        self._say(Content(""))
        self._show_audit()

    def _show_audited(self, words: str) -> None:
        """Show what was found, in words, and the sample turns that go with it."""
        assert self.choice is not None
        samples = [
            line
            for turn in self.choice.samples
            for who, text in (("asked", turn.prompt), ("base", turn.before), ("slot", turn.after))
            for line in set_in(who, text)
        ]
        shown = [words, *(["", "These sample turns go with it:", *samples] if samples else [])]
        self.query_one("#audited", Static).update(Content("\n".join(shown)))

    def _show_audit(self) -> None:
        audit = self.audit
        assert audit is not None
        looked = f"{audit.strings} strings of your own words were looked for in {audit.replies} replies"
        if audit.findings:
            words = f"{looked}; it could give away {len(audit.findings)}. Have each forgotten, or accept it:"
        elif audit.strings:
            words = f"{looked}, and none was found. That proves nothing, but it is a good sign."
        else:
            words = "Your words hold nothing that tells who you are."
        self._show_audited(words)
        options = self.query_one("#findings", OptionList)
        place = options.highlighted or 0
        options.clear_options()
        options.add_options([Option(finding_row(row, row.name in self.accepted)) for row in audit.findings])
        options.highlighted = min(place, len(audit.findings) - 1) if audit.findings else None
        if audit.findings:
            options.focus()
        self.refresh_bindings()

    @property
    def finding(self) -> Finding | None:
        """The highlighted finding."""
        place = self.query_one("#findings", OptionList).highlighted
        rows = self.audit.findings if self.audit is not None else []
        return rows[place] if place is not None and place < len(rows) else None

    def action_accept(self) -> None:
        """Let others have the highlighted finding, or no longer."""
        if self.finding is not None:
            self.accepted ^= {self.finding.name}
            self._show_audit()

    def action_forget(self) -> None:
        """Train the slot anew without the lesson of the highlighted finding, after a question."""
        from .ask import ConfirmScreen

        finding = self.finding
        if finding is None:
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                self.night.start_study(ForgetLesson(lesson=finding.lesson))
                self.night.chat.tell("The slot is trained anew without that lesson; publish what comes of it.")
                self.dismiss(None)

        subject = (
            f"{one_line(finding.text, 60)} came from lesson {finding.lesson}. The slot is trained anew on its other "
            "lessons, which takes minutes; publish the generation that comes of it."
        )
        self.app.push_screen(ConfirmScreen("Forget this lesson?", subject, "Forget"), answered)

    def _weigh(self) -> None:
        if self.audit is None:
            return
        open_ = sum(row.name not in self.accepted for row in self.audit.findings)
        if open_:
            self._say(Content.styled(f"{open_} of them are neither accepted nor forgotten yet.", "$error"))
            return
        self._work("Looking for your keys", self._prepare_signature())

    # -- who signs ----------------------------------------------------------------------------------------------------

    async def _prepare_signature(self) -> None:
        await self._fill_publishers(None)
        draft = self._draft("x")
        self.query_one("#file", Input).value = f"{draft.slot.name}-{draft.slot.version}.slot"
        self._go(SIGN)
        self._show_new()

    async def _fill_publishers(self, chosen: str | None) -> None:
        names = [one.name for one in await asyncio.to_thread(own_publishers, self.night.home)]
        select = self.query_one(Select)
        select.set_options([*((Content(name), name) for name in names), (Content("a new publisher"), NEW)])
        select.value = chosen if chosen is not None else names[0] if names else NEW

    def on_select_changed(self) -> None:
        """A new publisher needs a name, and its passphrase twice."""
        self._show_new()

    def _show_new(self) -> None:
        new = self.query_one(Select).value == NEW
        for name in ("publisher", "again"):
            self.query_one(f"#{name}").display = self.query_one(f"#of-{name}").display = new
        if self.step == SIGN:
            self.query_one("#publisher" if new else "#passphrase").focus()

    def _draft(self, publisher: str) -> Draft:
        assert self.shared is not None
        assert self.choice is not None
        choice = Choice(**{**vars(self.choice), "publisher": publisher})
        return draft_of(self.shared, choice)

    def _sign(self) -> None:
        self._work(SIGNING, self._pack())

    async def _pack(self) -> None:
        name = str(self.query_one(Select).value)
        fields = {key: self.query_one(f"#{key}", Input) for key, _, _ in SIGNATURE}
        passphrase, new = fields["passphrase"].value, name == NEW
        if new:
            name = fields["publisher"].value.strip()
            if passphrase != fields["again"].value:
                raise UsageError("The two passphrases differ; type the same one twice.")
        wanted = fields["file"].value.strip()
        draft = self._draft(name)
        target = target_file(draft, path_of(wanted) if wanted else None)
        if new:
            await asyncio.to_thread(self._become, name, passphrase)
            await self._fill_publishers(name)  # who it is stays, whatever becomes of the bundle
        signed = await asyncio.to_thread(self._write, draft, target, name, passphrase)
        fields["passphrase"].value = fields["again"].value = ""
        self.file = target
        size = f"{target.stat().st_size / 1e6:.1f} MB"
        lines = [f"{target} ({size})", f"id {signed.id}", "", "It can be given away as it is, or listed in a registry:"]
        self._go(LIST)
        self.query_one("#packed", Static).update(Content("\n".join(lines)))

    def _become(self, name: str, passphrase: str) -> None:
        """Make a publisher with one key; in a thread."""
        check_new(self.night.home, name)
        become(self.night.home, name, make_keys(key_files(self.night.home, name), passphrase))

    def _write(self, draft: Draft, target: Path, name: str, passphrase: str) -> Signed:
        """Open the keys of a publisher, and pack; in a thread."""
        from ...marketplace.bundle.pack import pack

        assert self.shared is not None
        known = next(one for one in own_publishers(self.night.home) if one.name == name)
        keys = own_keys(self.night.home, known, (), lambda path: load_key(path, passphrase))
        return pack(target, weights_of(self.shared), replace(draft, threshold=known.keys.threshold), keys)

    # -- where it is listed -------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        folder = self.query_one("#folder", Input).value.strip()
        if folder:
            self._work(LISTING, self._list_in(path_of(folder)))
        else:
            self._finish(f"{self.file} is written; it is not listed anywhere.")

    async def _list_in(self, folder: Path) -> None:
        field, home = self.query_one("#online", Input), self.night.home
        passphrase = field.value

        def publish() -> str:
            assert self.file is not None
            keeper = keeper_of(folder)
            key = online_key(home, keeper, lambda path: load_key(path, passphrase))
            listed = list_in(home, keeper, self.file)
            state = keeper.publish(key)
            words = f"{listed.name} {listed.latest.version} is listed by {keeper.face().title}"
            return f"{words}, publication {state.version}: {len(state.slots)} slots. Readers see it with a refresh."

        said = await asyncio.to_thread(publish)
        field.value = ""
        self._finish(said)

    def _finish(self, said: str) -> None:
        self._go(DONE)
        self.query_one("#published", Static).update(Content.styled(one_line(said, 600), "$success"))
