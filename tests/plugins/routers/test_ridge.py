import pytest
import torch

from nightschool.plugins.routers.ridge import Ridge


@pytest.fixture
def kinds():
    """A way to draw features of two kinds of questions, which differ in one direction, on very uneven scales."""
    generator = torch.Generator().manual_seed(1)
    scales = 10 ** torch.empty(40).uniform_(-2, 4, generator=generator)
    direction = torch.randn(40, generator=generator)

    def draw(count, side):
        return (torch.randn(count, 40, generator=generator) + side * direction) * scales + 7

    return draw


def share(fitted, rows):
    return sum(Ridge().applies(fitted, row) for row in rows) / len(rows)


def test_unseen_questions_of_both_kinds_are_told_apart(kinds):
    fitted = Ridge().fit(kinds(60, 1), kinds(50, -1))
    assert share(fitted, kinds(200, 1)) > 0.95
    assert share(fitted, kinds(200, -1)) < 0.1


def test_few_questions_in_scope_are_not_outvoted(kinds):
    fitted = Ridge().fit(kinds(10, 1), kinds(120, -1))
    assert share(fitted, kinds(200, 1)) > 0.9


def test_where_nothing_tells_them_apart_the_lessons_are_not_silenced(kinds):
    fitted = Ridge().fit(kinds(60, 0), kinds(60, 0))
    assert share(fitted, kinds(200, 0)) > 0.9


def test_a_feature_that_never_varies_does_no_harm(kinds):
    inside, outside = kinds(40, 1), kinds(40, -1)
    inside[:, 3] = outside[:, 3] = 5.0
    fitted = Ridge().fit(inside, outside)
    assert all(bool(tensor.isfinite().all()) for tensor in fitted.values())
    assert share(fitted, inside) > 0.9
