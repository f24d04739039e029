import io

import numpy as np
import pytest
import soundfile

from testing.faults.recipes import RECIPES

AUDIO = [name for name, recipe in RECIPES.items() if recipe.form]


@pytest.mark.parametrize("name", RECIPES)
def test_no_two_songs_have_the_same_bytes(name: str) -> None:
    recipe = RECIPES[name]
    assert len({recipe.body(number) for number in (1, 2, 300)}) == 3


@pytest.mark.parametrize("name", AUDIO)
def test_all_songs_of_a_recipe_have_the_same_samples(name: str) -> None:
    recipe = RECIPES[name]
    first, second = (soundfile.read(io.BytesIO(recipe.body(number)))[0] for number in (1, 2))
    assert np.array_equal(first, second)
