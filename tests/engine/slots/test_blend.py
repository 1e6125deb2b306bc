from pathlib import Path

from nightschool.engine.slots.blend import Blend, folders_of, without

ONE, OTHER = Path("one"), Path("other")
BOTH = Blend(((ONE, 0.7), (OTHER, 0.3)))


def test_a_voice_knows_the_adapters_it_is_made_of():
    assert [folders_of(voice) for voice in (None, ONE, BOTH)] == [[], [ONE], [ONE, OTHER]]


def test_an_adapter_that_does_not_apply_leaves_the_others_as_loud_as_they_were():
    assert without(BOTH, {ONE}) == Blend(((OTHER, 0.3),))
    assert without(BOTH, {ONE, OTHER}) is None
    assert without(BOTH, set()) == BOTH
    assert (without(ONE, {ONE}), without(ONE, {OTHER}), without(None, {ONE})) == (None, ONE, None)
