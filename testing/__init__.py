"""For authors of plugins: what an item of each kind must do, as checks that a test runs one by one.

    import pytest
    from nightschool.testing import suite
    import my_plugin

    @pytest.mark.parametrize("check", suite("detector"), ids=str)
    def test_it_does_what_a_detector_must(check):
        check(my_plugin)

Each check asks the plugin for its items as Night School does, and fails with a sentence. The built-in plugins run
the same ones. ``items_of`` gives a plugin's items for tests of one's own, ``tiny_base`` a quick base.
"""

from .suite import Check, items_of, suite
from .world import tiny_base, tiny_candidate, tiny_task

__all__ = ["Check", "items_of", "suite", "tiny_base", "tiny_candidate", "tiny_task"]
