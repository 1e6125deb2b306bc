"""The numbers of a study, and those that a user changes."""

import dataclasses

import pytest

from nightschool.engine.study.recipe import Recipe, changed_numbers, recipe_with


def test_numbers_are_changed_by_their_names_and_the_others_stay():
    recipe = recipe_with({"steps": 40, "most_kept_kl": 0.03, "scales": [1.0, 0.8]})
    assert recipe == dataclasses.replace(Recipe(), steps=40, most_kept_kl=0.03, scales=(1.0, 0.8))
    assert changed_numbers(recipe) == {"steps": 40, "most_kept_kl": 0.03, "scales": (1.0, 0.8)}
    assert recipe_with({}) == Recipe()
    assert changed_numbers(Recipe()) == {}


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"step": 40}, "no number step; near it are steps"),
        ({"xyzzy": 1}, "no number xyzzy$"),
        ({"steps": "many"}, "steps of a study cannot be 'many'"),
        ({"steps": 1.5}, "steps of a study cannot be 1.5"),
        ({"keep": -0.1}, "keep of a study cannot be below 0"),
        ({"scales": [1.0, -1.0]}, "scales of a study cannot be below 0"),
    ],
)
def test_what_is_no_number_of_a_study_is_said(numbers, said):
    with pytest.raises(ValueError, match=said):
        recipe_with(numbers)
