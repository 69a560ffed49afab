from __future__ import annotations

import fnmatch
import re

from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy import NamePatterns


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_star_is_any_characters_and_all_else_stands_for_itself(pattern: str, name: str) -> None:
    expected = re.fullmatch(fnmatch.translate(pattern), name) is not None
    assert NamePatterns([pattern]).fit(name) is expected


def test_one_of_several_has_to_fit_and_none_of_none_does() -> None:
    patterns = NamePatterns(["search_*", "time"])
    assert [patterns.fit(name) for name in ("search_web", "time", "times", "research_x")] == [True, True, False, False]
    assert not NamePatterns([]).fit("")
    assert repr(patterns) == "<NamePatterns [search_*, time]>"


def test_the_star_alone_fits_all() -> None:
    assert NamePatterns(["x", "*"]).fit_all
    assert not NamePatterns(["**x"]).fit_all
