import math

import pytest
import torch

from nightschool.engine.host.plugins import PluginHost
from nightschool.engine.slots.adapter import Adapter, Factors
from nightschool.engine.slots.factoring import inner, rank_for, spectrum, spectrum_of_product
from nightschool.engine.slots.plain_peft import peft_updates
from nightschool.plugins.merges.ties import agreed, trimmed
from nightschool.schemas.errors import BaseMismatch, UsageError
from nightschool.schemas.records import MergeOptions

SHAPES = {"self_attn.q_proj": (24, 20), "mlp.down_proj": (20, 36)}


def adapter(seed: int, rank: int = 4, layers=(2, 3), shapes=SHAPES) -> Adapter:
    generator = torch.Generator().manual_seed(seed)

    def random(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator)

    return Adapter(
        {
            (layer, path): Factors(random(rank, columns), random(rows, rank))
            for layer in layers
            for path, (rows, columns) in shapes.items()
        }
    )


@pytest.fixture(scope="module")
def strategies():
    return {one.name: one for one in PluginHost.load(third_party=False).collect("nightschool_merges")}


@pytest.fixture
def parts():
    return [(adapter(1), 0.7), (adapter(2, rank=3), 0.3)]


def products(one: Adapter) -> dict:
    return {place: f.up @ f.down for place, f in one.factors.items()}


def weighted_sum(parts) -> dict:
    places = {place for part, _ in parts for place in part.factors}
    return {
        place: sum(w * (a.factors[place].up @ a.factors[place].down) for a, w in parts if place in a.factors)
        for place in places
    }


def distance(found: dict, wanted: dict) -> float:
    """The relative error of all updates together."""
    lost = sum(float((found[place] - wanted[place]).square().sum()) for place in wanted)
    return math.sqrt(lost / sum(float(one.square().sum()) for one in wanted.values()))


def test_every_strategy_of_the_house_is_there_and_says_what_it_does(strategies):
    assert sorted(strategies) == ["breadcrumbs", "compact", "dare", "dare-ties", "exact", "slerp", "ties"]
    assert all(one.about.endswith(".") for one in strategies.values())


def test_the_exact_merge_is_the_weighted_sum_and_its_rank_adds_up(strategies, parts):
    merged = strategies["exact"].merge(parts, MergeOptions())
    assert merged.error == 0.0
    assert merged.adapter.rank == 7
    assert distance(products(merged.adapter), weighted_sum(parts)) < 1e-6


@pytest.mark.parametrize("name", ["exact", "compact", "slerp", "ties", "dare", "dare-ties", "breadcrumbs"])
def test_what_comes_out_is_of_the_portable_profile_also_where_places_differ(strategies, tmp_path, name):
    """PEFT takes blocks and projections each by themselves, so every one must be there in every block."""
    one = adapter(1, layers=(1, 2, 3), shapes={"self_attn.q_proj": (24, 20)})
    other = adapter(2, rank=3, layers=(3,))
    merged = strategies[name].merge([(one, 0.7), (other, 0.3)], MergeOptions())
    merged.adapter.save(tmp_path, "base")
    again = Adapter.load(tmp_path)
    assert len(again.factors) == 6
    stored = {
        f"model.layers.{layer}.{path}.weight": torch.zeros(SHAPES[path]) for layer in (1, 2, 3) for path in SHAPES
    }
    updates = peft_updates(tmp_path, stored)  # refuses whatever PEFT would leave out
    assert not updates["model.layers.1.mlp.down_proj.weight"].any()
    assert updates["model.layers.3.mlp.down_proj.weight"].any()


@pytest.mark.parametrize("rank", [1, 3, 5, 6])
def test_the_compact_merge_is_the_best_of_its_rank_and_its_error_the_reported_one(strategies, parts, rank):
    merged = strategies["compact"].merge(parts, MergeOptions(rank=rank))
    assert merged.adapter.rank == rank
    wanted = weighted_sum(parts)
    assert distance(products(merged.adapter), wanted) == pytest.approx(merged.error, rel=1e-4)
    best = {}
    for place, whole in wanted.items():
        u, s, v = torch.linalg.svd(whole)
        best[place] = u[:, :rank] @ torch.diag(s[:rank]) @ v[:rank]
    assert merged.error == pytest.approx(distance(best, wanted), rel=1e-4)


def test_the_compact_merge_without_a_rank_keeps_the_larger_parents(strategies, parts):
    assert strategies["compact"].merge(parts, MergeOptions()).adapter.rank == 4


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99])
def test_the_smallest_rank_that_keeps_the_energy_is_taken(strategies, parts, energy):
    merged = strategies["compact"].merge(parts, MergeOptions(energy=energy))
    assert merged.error**2 <= 1 - energy
    smaller = strategies["compact"].merge(parts, MergeOptions(rank=merged.adapter.rank - 1))
    assert smaller.error**2 > 1 - energy


def test_all_the_energy_is_the_whole_sum(strategies, parts):
    merged = strategies["compact"].merge(parts, MergeOptions(energy=1.0))
    assert merged.adapter.rank == 7
    assert distance(products(merged.adapter), weighted_sum(parts)) < 1e-6


def test_slerp_walks_the_arc_between_the_products(strategies, parts):
    merged = products(strategies["slerp"].merge(parts, MergeOptions()).adapter)
    (one, _), (other, _) = parts
    for place, first in products(one).items():
        second = products(other)[place]
        angle = math.acos(float((first * second).sum() / (first.norm() * second.norm())))
        wanted = (math.sin(0.7 * angle) * first + math.sin(0.3 * angle) * second) / math.sin(angle)
        assert torch.allclose(merged[place], wanted, atol=1e-5)


def test_slerp_of_a_slot_with_itself_is_that_slot(strategies):
    one = adapter(1)
    merged = strategies["slerp"].merge([(one, 0.6), (one, 0.4)], MergeOptions())
    assert distance(products(merged.adapter), products(one)) < 1e-5


def test_slerp_takes_two_slots_with_weights_above_nothing(strategies, parts):
    for wrong in ([*parts, (adapter(3), 0.1)], [(adapter(1), 0.7), (adapter(2), -0.3)]):
        with pytest.raises(UsageError, match="two slots"):
            strategies["slerp"].merge(wrong, MergeOptions())


def test_the_vote_follows_the_stronger_side_and_averages_those_that_agree():
    one, other = torch.tensor([4.0, 1.0, -2.0, 0.0]), torch.tensor([2.0, -3.0, -4.0, 5.0])
    assert agreed([one, other], [0.5, 0.5]).tolist() == [6.0, -6.0, -6.0, 10.0]  # half of each was given already


def test_a_trimmed_update_keeps_its_largest_numbers():
    update = torch.tensor([[1.0, -5.0], [3.0, -2.0]])
    assert trimmed(update, 0.5).tolist() == [[0.0, -5.0], [3.0, 0.0]]
    assert trimmed(update, 1.0).equal(update)


def test_ties_is_done_on_the_products_and_its_error_is_the_reported_one(strategies, parts):
    wanted = {
        place: agreed([trimmed(w * a.factors[place].up @ a.factors[place].down, 0.4) for a, w in parts], [0.7, 0.3])
        for place in parts[0][0].factors
    }
    for rank in (2, 7, 20):
        merged = strategies["ties"].merge(parts, MergeOptions(rank=rank, density=0.4))
        assert distance(products(merged.adapter), wanted) == pytest.approx(merged.error, rel=1e-3, abs=1e-6)
    assert merged.error < 1e-6  # nothing is lost at full rank


def test_ties_is_not_what_the_vote_on_the_factors_gives(strategies, parts):
    """PEFT's way, on A and B apart, is nowhere near."""
    merged = strategies["ties"].merge([(parts[0][0], 0.5), (adapter(2), 0.5)], MergeOptions(rank=20, density=1.0))
    apart = {}
    for place, mine in parts[0][0].factors.items():
        theirs = adapter(2).factors[place]
        apart[place] = agreed([mine.up, theirs.up], [0.5, 0.5]) @ agreed([mine.down, theirs.down], [0.5, 0.5])
    assert distance(apart, products(merged.adapter)) > 0.5


def test_dare_is_the_same_each_time_and_another_with_another_seed(strategies, parts):
    def found(seed: int) -> dict:
        return products(strategies["dare"].merge(parts, MergeOptions(rank=20, seed=seed)).adapter)

    assert distance(found(1), found(1)) == 0.0
    assert distance(found(1), found(2)) > 0.1


def test_dare_keeps_the_sum_on_average(strategies, parts):
    seeds = 64
    total: dict = {}
    for seed in range(seeds):
        merged = strategies["dare"].merge(parts, MergeOptions(rank=20, density=0.5, seed=seed))
        for place, one in products(merged.adapter).items():
            total[place] = total.get(place, 0) + one / seeds
    # The standard error of the mean is 1/sqrt(64) of the size at density 0.5.
    assert distance(total, weighted_sum(parts)) < 0.2


def test_breadcrumbs_leave_out_the_smallest_and_the_largest(strategies, parts):
    wanted = {}
    for place in parts[0][0].factors:
        wanted[place] = 0
        for part, weight in parts:
            whole = weight * part.factors[place].up @ part.factors[place].down
            order = whole.abs().flatten().argsort(descending=True)
            keep = torch.zeros(whole.numel())
            top, count = round(0.01 * whole.numel()), round(0.61 * whole.numel())
            keep[order[top:count]] = 1
            wanted[place] = wanted[place] + whole * keep.view_as(whole)
    merged = strategies["breadcrumbs"].merge(parts, MergeOptions(rank=20, density=0.6))
    assert distance(products(merged.adapter), wanted) < 1e-5


@pytest.mark.parametrize(
    ("name", "options", "odd"),
    [("exact", {"rank": 3}, "rank"), ("compact", {"density": 0.5}, "density"), ("ties", {"seed": 3}, "seed")],
)
def test_an_option_that_would_do_nothing_is_refused(strategies, parts, name, options, odd):
    with pytest.raises(UsageError, match=odd):
        strategies[name].merge(parts, MergeOptions(**options))


def test_adapters_of_other_bases_do_not_blend(strategies):
    other = adapter(2, shapes={"self_attn.q_proj": (48, 40)})
    with pytest.raises(BaseMismatch, match="one base"):
        strategies["exact"].merge([(adapter(1), 0.5), (other, 0.5)], MergeOptions())


def test_a_spectrum_is_the_same_with_and_without_the_factors():
    factors = adapter(5, rank=6).factors[(2, "mlp.down_proj")]
    thin, whole = spectrum(factors), spectrum_of_product(factors.up @ factors.down, most=6)
    assert torch.allclose(thin.values, whole.values, rtol=1e-5)
    assert thin.energy == pytest.approx(whole.energy, rel=1e-6)
    for one in (thin, whole):
        again = one.left @ one.values.diag() @ one.right
        assert torch.allclose(again.float(), factors.up @ factors.down, atol=1e-4)


def test_inner_products_need_no_full_matrix():
    one, other = adapter(1).factors[(2, "mlp.down_proj")], adapter(2).factors[(2, "mlp.down_proj")]
    assert inner(one, other) == pytest.approx(float(((one.up @ one.down) * (other.up @ other.down)).sum()), rel=1e-4)


def test_an_adapter_that_changes_nothing_merges_without_an_error(strategies):
    nothing = Adapter({p: Factors(f.down, f.up * 0) for p, f in adapter(1).factors.items()})
    for name in ("exact", "compact", "slerp", "ties", "dare", "breadcrumbs"):
        merged = strategies[name].merge([(nothing, 0.5), (nothing, 0.5)], MergeOptions())
        assert merged.error == 0.0
        assert not any(one.any() for one in products(merged.adapter).values())
    assert rank_for([spectrum(f) for f in nothing.factors.values()], 0.9) == 1
