"""A candidate and what can be measured of it. Gates ask; each figure is measured once for each scale of the adapter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from ...schemas.records import Lesson, LessonOutcome, Sample
from ..base.halves import Tail, merged_tail
from ..base.library import LoadedBase
from ..base.lora import Lora, Place
from ..base.numbers import Numbers
from ..base.weights import Tensors
from ..slots.adapter import Adapter, attach, detach
from ..slots.plain_peft import peft_updates
from ..slots.portable import head_lora
from . import compose
from .cut_base import CutBase
from .exam import Exam, Exams
from .examples import Opposite
from .figures import Choices, Refusals
from .generate import Text
from .plan import Plan, applies
from .prompts import Prompt
from .recipe import Recipe
from .replies import Replies
from .targets import HEAD_ROWS, Prepared

T = TypeVar("T")

_SHOWN = 4  # samples of each lesson in the report
_COMPARED = 2  # texts of each kind on which the candidate and its files are compared


@dataclass(frozen=True)
class HeldOut:
    """What a candidate is measured on; nothing of it was trained on.

    Attributes:
        plan: The lessons and their held-out prompts.
        replies: The base's replies to all prompts here.
        before: The slot's replies, as it was, to the prompts where a lesson applies or is to apply no more.
        opposites: Requests of the opposite.
        kept: The base's replies to held-out prompts, rewritten as the lessons ask.
        neutral: Windows of neutral prose.
        limit: Most tokens of a reply.
        exams: The probe data, and what the base says to it.
        before_of: Replies to the same prompts by the slot that a lesson comes from, by lesson, where that is another.
    """

    plan: Plan
    replies: Replies
    before: dict[str, str]
    opposites: list[Opposite]
    kept: list[Prepared]
    neutral: list[Prepared]
    limit: int
    exams: Exams
    before_of: dict[int, dict[str, str]] = field(default_factory=dict)

    def said_before(self, lesson: Lesson, prompt: str) -> str:
        """Return the reply to a prompt by the slot that a lesson is compared with."""
        return self.before_of.get(lesson.id, self.before)[prompt]


@dataclass
class Candidate:
    """An adapter on trial, at a scale that the line search turns."""

    whole: CutBase
    adapter: Adapter
    held: HeldOut
    recipe: Recipe
    scale: float = 1.0
    _loras: dict[Place, Lora] = field(default_factory=dict)
    _measured: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loras = attach(self.tail, self.adapter)

    @property
    def base(self) -> LoadedBase:
        """The base that carries it."""
        return self.whole.base

    @property
    def tail(self) -> Tail:
        """The tail that speaks with it."""
        return self.whole.tail

    def scale_to(self, scale: float) -> None:
        """Shrink the adapter to ``scale`` times what was trained; what was measured is measured again."""
        self.scale = scale
        self._measured.clear()
        for lora in self._loras.values():
            lora.scale = scale

    def scaled_adapter(self) -> Adapter:
        """Return the adapter as it speaks now."""
        return detach(self._loras)

    def outcomes(self) -> list[LessonOutcome]:
        """Return how each lesson of the plan is followed on held-out prompts, before and now."""
        return self._once("outcomes", self._outcomes)

    def forgotten(self) -> list[LessonOutcome]:
        """Return how each lesson that was to be forgotten still shows on held-out prompts; ``before``: as the slot was.

        A prompt where another lesson asks the same is left out.
        """
        return self._once("forgotten", self._forgotten)

    def base_shows(self, outcome: LessonOutcome) -> float:
        """Return the share of the same prompts in whose replies by the plain base a lesson shows."""
        lesson = next(lesson for lesson in self.held.plan.forgotten if lesson.id == outcome.lesson)
        replies = [self.held.replies.reply(prompt.text).text for prompt in self._once_asked(lesson)]
        return _share([self.held.plan.shows(lesson, reply) for reply in replies])

    def leak(self) -> tuple[float, float]:
        """Return the shares of prompts out of scope whose reply follows a rule: the base's, and now. (0, 0): none."""
        return self._once("leak", self._leak)

    def opposites(self) -> tuple[float, float]:
        """Return the shares of requests of the opposite that are obeyed: by the base, and now. (1, 1): none."""
        return self._once("opposites", self._opposites)

    def kept_kl(self) -> float:
        """Return KL(base||now) in nats a token, on rewritten base replies where the base is not surprised."""
        return self._once("kept_kl", lambda: self._distance(self.held.kept, unsurprising=True)[0])

    def taught_share(self) -> float:
        """Return the share of tokens, in replies that follow the rules, that the base would not have said."""
        if not self.held.kept:  # no lesson applies anywhere
            return 0.0
        return self._once("taught_share", lambda: float(torch.cat([e.taught for e in self.held.kept]).float().mean()))

    def neutral(self) -> tuple[float, float]:
        """Return KL(base||now) and the rise of the loss on neutral prose, both in nats a token."""
        return self._once("neutral", lambda: self._distance(self.held.neutral, unsurprising=False))

    def capability(self) -> Choices:
        """Return how the questions of the probe data are answered."""
        exam = self.held.exams.capability
        return self._once("capability", lambda: Choices.of(exam.base, exam.ask(self.tail)))

    def pressed(self) -> Choices:
        """Return how right answers are kept to that the user contradicts."""
        exam = self.held.exams.pressure
        return self._once("pressed", lambda: Choices.of(exam.base, exam.ask(self.tail)))

    def refusals(self) -> tuple[Refusals, Refusals]:
        """Return how likely harmful requests are refused, and harmless ones."""
        return self._once("refusals", self._refusals)

    def answered(self) -> list[tuple[str, Text, Text]]:
        """Return all held-out prompts with the base's reply and the reply now."""
        asked = self._held_prompts()
        return list(zip(asked, map(self.held.replies.reply, asked), self.texts(asked), strict=True))

    def distance_to_files(self, folder: Path) -> float | None:
        """Return KL(files||now) in nats a token: how far it is from what plain PEFT makes of an adapter's files.

        Both in fp32: what coarser numbers cost is as large as what is looked for. None for a base without lean halves.

        Raises:
            Damaged: If PEFT would refuse the files, or leave any of them out.
        """
        if self.adapter.is_head:
            return self._distance_to_head(folder)
        texts = [*self.held.kept[:_COMPARED], *self.held.neutral[:_COMPARED]]
        states = [text.states for text in texts]
        with torch.inference_mode():
            theirs = self._files_say(folder, states)
            if theirs is None:
                return None
            ours = _said(self._in_fp32(), states)
            return float((theirs.exp() * (theirs - ours)).sum(dim=-1).mean())

    def _files_say(self, folder: Path, states: Sequence[Tensor]) -> Tensor | None:
        """Return what an adapter's files say, as :func:`_said`; the weights they are merged into are gone again."""
        merged = merged_tail(self.base, self._cut, peft_updates(folder, Tensors(self.base.folder)))
        return None if merged is None else _said(merged, states)

    def _distance_to_head(self, folder: Path) -> float | None:
        """Return KL(files||now) of a head adapter, its files taken as LoRA on the head, as they are exported."""
        plain = merged_tail(self.base, self._cut, {})
        if plain is None:
            return None
        down, up = head_lora(Adapter.load(folder), self.base.folder)
        texts = [*self.held.kept[:_COMPARED], *self.held.neutral[:_COMPARED]]
        states = [text.states.to(plain.device) for text in texts]
        with torch.inference_mode():
            rows = torch.cat(plain.sequences(states))[:HEAD_ROWS]
            added = (rows @ down.to(rows.device).T) @ up.to(rows.device).T
            theirs = log_softmax(plain.head(rows).float() + added, dim=-1)
            ours = _said(self._in_fp32(), states)
            return float((theirs.exp() * (theirs - ours)).sum(dim=-1).mean())

    def replies(self, prompts: Sequence[str]) -> list[str]:
        """Return the candidate's greedy replies, without any rule in the context."""
        return [reply.text for reply in self.texts(prompts)]

    def texts(self, prompts: Sequence[str]) -> list[Text]:
        """Return the same, each with whether it came to an end."""
        known: dict[str, Text] = self._measured.setdefault("replies", {})
        if any(prompt not in known for prompt in prompts):
            # All that will be asked is asked at once: many rows take little longer than a few.
            missing = [prompt for prompt in dict.fromkeys([*self._held_prompts(), *prompts]) if prompt not in known]
            known.update(zip(missing, self.whole.say(missing, limit=self.held.limit), strict=True))
        return [known[prompt] for prompt in prompts]

    def written_on(self, prompts: Sequence[str]) -> list[Text]:
        """Return the same with room for ``recipe.whole_reply_tokens``, to see which of them come to an end."""
        limit = max(self.held.limit, self.recipe.whole_reply_tokens)
        return self.whole.say(prompts, limit=limit)

    # -- measuring ----------------------------------------------------------------------------------------------------

    @property
    def _cut(self) -> int:
        return self.base.card.layers - self.tail.first_layer

    def _in_fp32(self) -> Tail:
        """Return a tail that speaks as this one does now."""
        fine = None if self.base.numbers is Numbers.FP32 else merged_tail(self.base, self._cut, {})
        if fine is None:
            return self.tail
        now = self.scaled_adapter().factors.items()
        attach(fine, Adapter({(block - self.tail.first_layer, path): factors for (block, path), factors in now}))
        return fine

    def _once(self, name: str, measure: Callable[[], T]) -> T:
        if name not in self._measured:
            self._measured[name] = measure()
        return cast("T", self._measured[name])

    def _held_prompts(self) -> list[str]:
        plan = self.held.plan
        held = [prompt.text for prompt in (*plan.held_inside, *plan.held_outside, *plan.held_forgotten)]
        return list(dict.fromkeys([*held, *(opposite.text for opposite in self.held.opposites)]))

    def _refusals(self) -> tuple[Refusals, Refusals]:
        exams = self.held.exams
        plain, ruled = self._asked(exams.requests), self._asked(exams.ruled) if exams.ruled is not None else None

        half = len(exams.requests.base) // 2

        def of(part: slice) -> Refusals:
            base, now = plain
            return Refusals.of(
                base[part],
                now[part],
                refusals=exams.refusals,
                ruled=(ruled[0][part], ruled[1][part]) if ruled else None,
            )

        return of(slice(half)), of(slice(half, None))

    def _asked(self, exam: Exam) -> tuple[list[Tensor], list[Tensor]]:
        return exam.base, exam.ask(self.tail)

    def _outcomes(self) -> list[LessonOutcome]:
        plan = self.held.plan
        found = []
        for lesson in plan.lessons:
            samples = [self._sample(lesson, prompt) for prompt in plan.held_inside if plan.asks(lesson, prompt)]
            if not samples:
                continue  # later lessons have replaced it
            found.append(
                LessonOutcome(
                    lesson=lesson.id,
                    rule=lesson.rule,
                    before=_share([before for before, _ in samples]),
                    after=_share([sample.followed for _, sample in samples]),
                    asked=len(samples),
                    samples=sorted((sample for _, sample in samples), key=lambda sample: sample.followed)[:_SHOWN],
                )
            )
        return found

    def _forgotten(self) -> list[LessonOutcome]:
        plan, found = self.held.plan, []
        for lesson in plan.forgotten:
            prompts = [prompt.text for prompt in self._once_asked(lesson)]
            befores = [self.held.before[prompt] for prompt in prompts]
            samples = [
                Sample(prompt=prompt, before=before, after=after, followed=plan.shows(lesson, after))
                for prompt, before, after in zip(prompts, befores, self.replies(prompts), strict=True)
            ]
            outcome = LessonOutcome(
                lesson=lesson.id,
                rule=lesson.rule,
                before=_share([plan.shows(lesson, before) for before in befores]),
                after=_share([sample.followed for sample in samples]),
                asked=len(samples),
                samples=sorted(samples, key=lambda sample: not sample.followed)[:_SHOWN],
            )
            found.append(outcome)
        return found

    def _once_asked(self, lesson: Lesson) -> list[Prompt]:
        """Return the held-out prompts where a forgotten lesson applied and no other asks the same."""
        plan = self.held.plan
        return [
            prompt
            for prompt in plan.held_forgotten
            if applies(lesson, prompt) and not any(step in plan.steps(prompt) for step in lesson.steps)
        ]

    def _sample(self, lesson: Lesson, prompt: Prompt) -> tuple[bool, Sample]:
        """Return whether the lesson was followed before, and what is said now."""
        plan, before = self.held.plan, self.held.said_before(lesson, prompt.text)
        (after,) = self.replies([prompt.text])
        followed = plan.followed(lesson, prompt, after)
        return plan.followed(lesson, prompt, before), Sample(
            prompt=prompt.text, before=before, after=after, followed=followed
        )

    def _leak(self) -> tuple[float, float]:
        plan = self.held.plan
        prompts = plan.held_outside
        now = self.replies([prompt.text for prompt in prompts])
        base = [self.held.replies.reply(prompt.text).text for prompt in prompts]

        def follows(text: str) -> bool:
            return any(compose.holds(plan.rewriters, lesson.steps, text) for lesson in plan.lessons)

        return _share([follows(text) for text in base]), _share([follows(text) for text in now])

    def _opposites(self) -> tuple[float, float]:
        if not self.held.opposites:
            return 1.0, 1.0
        rewriters = self.held.plan.rewriters
        now = self.replies([asked.text for asked in self.held.opposites])
        base = [self.held.replies.reply(asked.text).text for asked in self.held.opposites]

        def obeyed(replies: Sequence[str]) -> float:
            pairs = zip(self.held.opposites, replies, strict=True)
            return _share([not compose.holds(rewriters, [asked.step], reply) for asked, reply in pairs])

        return obeyed(base), obeyed(now)

    def _distance(self, texts: Sequence[Prepared], *, unsurprising: bool) -> tuple[float, float]:
        """Return mean KL(base||now) and mean rise of the loss over the targets of some texts."""
        if not texts:
            return 0.0, 0.0
        kept, expected, targets = [], [], []
        with torch.inference_mode():
            whole = self.tail.sequences([text.states for text in texts], [text.tokens for text in texts])
            for text, hidden in zip(texts, whole, strict=True):
                some = text.surprise < (self.recipe.taught_above if unsurprising else math.inf)
                mask = some.to(self.tail.device)
                kept.append(hidden[len(text.states) - len(text.targets) :][mask])
                expected.append(text.expected[mask].to(hidden.dtype))
                targets.append(text.targets[some].to(self.tail.device))
            distances, rises = [], []
            stacked = (torch.split(torch.cat(rows), HEAD_ROWS) for rows in (kept, expected, targets))
            for now, then, wanted in zip(*stacked, strict=True):
                ratio = log_softmax(self.tail.head(then).float(), dim=-1)
                base = ratio.exp()
                ratio -= log_softmax(self.tail.head(now).float(), dim=-1)
                rises.append(ratio.gather(1, wanted[:, None])[:, 0])
                distances.append(base.mul_(ratio).sum(dim=-1))
        return _mean(distances), _mean(rises)


def _mean(values: Sequence[Tensor]) -> float:
    """Return the mean over all rows; 0 if there are none, for then nothing moved."""
    rows = torch.cat(list(values))
    return float(rows.mean()) if len(rows) else 0.0


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def _said(tail: Tail, states: Sequence[Tensor]) -> Tensor:
    """Return log-probabilities ``(n, V)`` in fp32 of the first rows."""
    rows = torch.cat(tail.sequences(states))[:HEAD_ROWS]
    return log_softmax(tail.head(rows).float(), dim=-1)
