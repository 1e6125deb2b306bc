"""What works on weights and states must do: merges, trainers, gates, routers, providers. On the tiny base."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import torch

from ..engine.base.supply import ProviderKind
from ..engine.slots.adapter import Adapter, Factors, new_adapter
from ..schemas.errors import BaseMismatch, PromptTooLong, UsageError
from ..schemas.records import GateResult, MergeOptions
from .world import CUT, tiny_base, tiny_candidate, tiny_task

SHAPES = {"self_attn.q_proj": (24, 20), "mlp.down_proj": (20, 36)}
ROUNDING = 2e-4


# -- merges -----------------------------------------------------------------------------------------------------------


def _adapter(seed: int, rank: int = 4, shapes: dict[str, tuple[int, int]] | None = None) -> Adapter:
    generator = torch.Generator().manual_seed(seed)
    factors = {
        (layer, path): Factors(
            torch.randn(rank, columns, generator=generator), torch.randn(rows, rank, generator=generator)
        )
        for layer in (2, 3)
        for path, (rows, columns) in (shapes or SHAPES).items()
    }
    return Adapter(factors)


def _merged(item: Any) -> Any:
    return item.merge([(_adapter(1), 0.7), (_adapter(2, rank=3), 0.3)], MergeOptions())


def gives_an_adapter_of_one_rank(item: Any) -> None:
    """What comes out has every projection in every block, all of one rank, and numbers only."""
    merged = _merged(item)
    ranks = {(factors.down.shape[0], factors.up.shape[1]) for factors in merged.adapter.factors.values()}
    assert len(ranks) == 1, f"{item.name} gives ranks {sorted(ranks)}"
    assert merged.adapter.factors.keys() == {(layer, path) for layer in (2, 3) for path in SHAPES}
    for factors in merged.adapter.factors.values():
        assert bool(factors.up.isfinite().all() and factors.down.isfinite().all()), f"{item.name} gives no numbers"
    assert 0.0 <= merged.error < float("inf"), f"{item.name} says an error of {merged.error}"


def merges_the_same_again(item: Any) -> None:
    """It is deterministic, and leaves its parts as they were."""
    before = _adapter(1)
    one, other = _merged(item), _merged(item)
    for place, factors in one.adapter.factors.items():
        again = other.adapter.factors[place]
        assert torch.equal(factors.up @ factors.down, again.up @ again.down), f"{item.name} is not deterministic"
    part = _adapter(1)
    item.merge([(part, 0.7), (_adapter(2), 0.3)], MergeOptions())
    assert all(torch.equal(part.factors[place].up, before.factors[place].up) for place in before.factors)


def refuses_adapters_of_two_bases(item: Any) -> None:
    """Shapes that do not belong together are refused by name."""
    strange = _adapter(3, shapes={"self_attn.q_proj": (24, 22), "mlp.down_proj": (20, 36)})
    try:
        item.merge([(_adapter(1), 0.5), (strange, 0.5)], MergeOptions())
    except BaseMismatch:
        return
    raise AssertionError(f"{item.name} merges adapters of two bases")


# -- trainers ---------------------------------------------------------------------------------------------------------


def _trained(item: Any) -> tuple[Adapter, list[tuple[int, int]]]:
    steps: list[tuple[int, int]] = []
    adapter = item.train(tiny_task(), lambda point, planned: steps.append((point.step, planned)))
    return adapter, steps


def trains_every_projection_of_the_tail(item: Any) -> None:
    """What comes out fits the tail, changes something, and was told step by step."""
    adapter, steps = _trained(item)
    wanted = new_adapter(tiny_task().tail, 4).factors
    assert adapter.factors.keys() == wanted.keys(), f"{item.name} leaves out projections of the tail"
    for place, factors in adapter.factors.items():
        assert factors.down.shape[1] == wanted[place].down.shape[1] and factors.up.shape[0] == wanted[place].up.shape[0]
        assert bool(factors.up.isfinite().all()), f"{item.name} gives no numbers"
    assert any(bool(factors.up.any()) for factors in adapter.factors.values()), f"{item.name} changes nothing"
    assert steps and [step for step, _ in steps] == sorted({step for step, _ in steps}), f"{item.name} tells {steps}"
    assert steps[-1][0] <= steps[-1][1], f"{item.name} makes more steps than it plans"


def trains_the_same_again(item: Any) -> None:
    """The same task gives the same adapter."""
    (one, _), (other, _) = _trained(item), _trained(item)
    for place, factors in one.factors.items():
        same = torch.allclose(factors.up, other.factors[place].up, atol=1e-6)
        assert same, f"{item.name} trains otherwise the second time"


def leaves_the_base_as_it_was(item: Any) -> None:
    """The tail is plain afterwards: without adapter, without gradients, the same numbers."""
    tail = tiny_task().tail
    example = tiny_task().examples[0]
    before = tail.head(tail.sequences([example.states], [example.tokens])[0]).detach().clone()
    _trained(item)
    after = tail.head(tail.sequences([example.states], [example.tokens])[0])
    assert torch.equal(before, after.detach()), f"{item.name} leaves the base changed"


# -- gates ------------------------------------------------------------------------------------------------------------


def judges_with_reasons(item: Any) -> None:
    """Each result has a name, a sentence, and numbers that can be compared."""
    results = item.judge(tiny_candidate())
    for result in results:
        assert isinstance(result, GateResult)
        assert result.name and result.text.strip(), f"{item.name} gives a result without a name or a reason"
        assert result.value == result.value, f"{item.name}: the value of {result.name} is no number"


def judges_the_same_again(item: Any) -> None:
    """A candidate is judged alike whenever it is asked about."""
    one = [(result.name, result.passed) for result in item.judge(tiny_candidate())]
    other = [(result.name, result.passed) for result in item.judge(tiny_candidate())]
    assert one == other, f"{item.name} changes its mind"


def leaves_the_candidate_as_it_was(item: Any) -> None:
    """Judging leaves the scale of the adapter where it is."""
    candidate = tiny_candidate()
    candidate.scale_to(0.7)
    item.judge(candidate)
    assert candidate.scale == 0.7, f"{item.name} leaves the candidate at scale {candidate.scale}"


# -- routers ----------------------------------------------------------------------------------------------------------


def tells_two_heaps_apart(item: Any) -> None:
    """What lies far apart is told apart, on rows that it has not seen."""
    generator = torch.Generator().manual_seed(1)
    inside, outside = (torch.randn(24, 16, generator=generator) * 0.2 + shift for shift in (1.0, -1.0))
    fitted = item.fit(inside[:16], outside[:16])
    assert all(isinstance(value, torch.Tensor) for value in fitted.values()), f"{item.name} keeps more than tensors"
    assert all(item.applies(fitted, row) for row in inside[16:]), f"{item.name} misses its own"
    assert not any(item.applies(fitted, row) for row in outside[16:]), f"{item.name} takes others for its own"


# -- providers --------------------------------------------------------------------------------------------------------


def _opened(item: Any) -> Any:
    assert isinstance(item, ProviderKind), "this suite is for providers of states at a cut; see docs/providers.md"
    return item.open(tiny_base())


def _tokens(count: int, seed: int = 0) -> list[int]:
    return [(7 * place + 13 * seed) % 256 for place in range(count)]


def _same(rows: torch.Tensor, wanted: torch.Tensor) -> bool:
    return rows.shape == wanted.shape and torch.allclose(rows.float(), wanted.float(), atol=ROUNDING, rtol=1e-3)


def cuts_where_the_base_is_whole(item: Any) -> None:
    """Its states and the tail compute what the card of the base says."""
    from ..engine.base.card import check_probe
    from ..engine.base.halves import open_tail

    provider = _opened(item)
    asyncio.run(check_probe(provider.base, provider, open_tail(tiny_base(), CUT)))
    states = asyncio.run(provider.states([_tokens(9), _tokens(1, 1), _tokens(20, 2)], CUT))
    assert [len(one.rows) for one in states] == [9, 1, 20], f"{item.name} mixes sequences up"


def replays_what_it_lost(item: Any) -> None:
    """A session that goes back gives what a fresh one would; a new session takes the history up."""

    async def look() -> None:
        provider, first, second = _opened(item), _tokens(20), _tokens(6, 1)
        session = provider.open(CUT)
        whole = (await session.extend(0, first)).rows
        for position in (0, 7, 20):
            states = await session.extend(position, second)
            assert (states.position, session.length) == (position, position + 6), f"{item.name} counts wrongly"
            (wanted,) = await provider.states([first[:position] + second], CUT)
            assert _same(states.rows, wanted.rows[position:]), f"{item.name} goes back to {position} wrongly"
            await session.extend(0, first)
        again = provider.open(CUT)
        assert _same((await again.extend(0, first)).rows, whole), f"{item.name} replays otherwise"
        for one in (session, again, again):
            await one.close()

    asyncio.run(look())


def refuses_what_cannot_be(item: Any) -> None:
    """Positions beyond the history, and histories beyond the context, are refused by name."""

    async def look() -> None:
        session = _opened(item).open(CUT)
        await session.extend(0, _tokens(4))
        for position, count, refusal in ((9, 1, UsageError), (4, tiny_base().card.context + 1, PromptTooLong)):
            try:
                await session.extend(position, _tokens(count))
            except refusal:
                continue
            raise AssertionError(f"{item.name} raises no {refusal.__name__}")
        assert session.length == 4, f"{item.name} holds what it refused"
        await session.close()

    asyncio.run(look())


def outlives_a_caller_that_leaves(item: Any) -> None:
    """A call that is cancelled leaves a session that can be taken back to a known place."""

    async def look() -> None:
        provider = _opened(item)
        session = provider.open(CUT)
        await session.extend(0, _tokens(8))
        task = asyncio.ensure_future(session.extend(8, _tokens(100, 1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        states = await session.extend(min(session.length, 4), _tokens(3, 2))
        (wanted,) = await provider.states([_tokens(8)[: states.position] + _tokens(3, 2)], CUT)
        assert _same(states.rows, wanted.rows[states.position :]), f"{item.name} is lost after a cancelled call"
        await session.close()

    asyncio.run(look())


LOOKS: dict[str, list[Callable[[Any], None]]] = {
    "nightschool_merges": [gives_an_adapter_of_one_rank, merges_the_same_again, refuses_adapters_of_two_bases],
    "nightschool_trainers": [
        trains_every_projection_of_the_tail, trains_the_same_again, leaves_the_base_as_it_was,
    ],
    "nightschool_gates": [judges_with_reasons, judges_the_same_again, leaves_the_candidate_as_it_was],
    "nightschool_routers": [tells_two_heaps_apart],
    "nightschool_providers": [
        cuts_where_the_base_is_whole, replays_what_it_lost, refuses_what_cannot_be, outlives_a_caller_that_leaves,
    ],
}  # fmt: skip
