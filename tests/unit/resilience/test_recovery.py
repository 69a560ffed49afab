from __future__ import annotations

import random
from itertools import pairwise

import pytest

from trunkline.policy import BreakerPolicy
from trunkline.resilience.recovery import FIRST_SHARE, OpenTime, share_of_load


def test_open_times_fill_the_upper_half_of_their_range() -> None:
    drawn = [OpenTime(BreakerPolicy(open_for=2.0), random.Random(seed)).draw(0.0) for seed in range(2000)]
    assert 1.0 <= min(drawn) < 1.02
    assert 1.98 < max(drawn) < 2.0
    assert sum(drawn) / len(drawn) == pytest.approx(1.5, abs=0.05)


def test_each_failed_probe_doubles_the_open_time_up_to_the_cap() -> None:
    policy = BreakerPolicy(open_for=2.0, open_cap=60.0)
    open_time = OpenTime(policy, random.Random(1))
    longest = [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert 1.0 <= open_time.draw(0.0) <= longest[0]
    for most in longest[1:]:
        assert most / 2 <= open_time.draw_longer() <= most


def test_without_failed_probes_the_open_time_does_not_grow() -> None:
    open_time = OpenTime(BreakerPolicy(open_for=2.0), random.Random(1))
    assert all(open_time.draw(0.0) <= 2.0 for _ in range(100))


def test_every_five_healthy_minutes_take_back_one_doubling() -> None:
    open_time = OpenTime(BreakerPolicy(open_for=2.0, open_cap=60.0), random.Random(1))
    for _ in range(3):
        open_time.draw_longer()
    assert repr(open_time) == "<OpenTime [at most 16 s, 3 doublings]>"
    open_time.draw(299.9)
    assert repr(open_time) == "<OpenTime [at most 16 s, 3 doublings]>"
    open_time.draw(300.0)
    assert repr(open_time) == "<OpenTime [at most 8 s, 2 doublings]>"
    open_time.draw(1e7)
    assert repr(open_time) == "<OpenTime [at most 2 s, 0 doublings]>"


def test_an_endless_outage_does_not_pile_up_doublings_beyond_the_cap() -> None:
    open_time = OpenTime(BreakerPolicy(open_for=2.0, open_cap=60.0), random.Random(1))
    for _ in range(5000):
        assert open_time.draw_longer() <= 60.0
    assert repr(open_time) == "<OpenTime [at most 60 s, 5 doublings]>"
    open_time.draw(600.0)
    assert repr(open_time) == "<OpenTime [at most 16 s, 3 doublings]>"


def test_an_open_time_above_the_cap_is_capped() -> None:
    open_time = OpenTime(BreakerPolicy(open_for=9.0, open_cap=3.0), random.Random(1))
    assert all(1.5 <= open_time.draw(0.0) <= 3.0 for _ in range(100))
    open_time.draw_longer()
    assert repr(open_time) == "<OpenTime [at most 3 s, 0 doublings]>"


def test_a_reset_forgets_all_doublings() -> None:
    open_time = OpenTime(BreakerPolicy(open_for=2.0), random.Random(1))
    open_time.draw_longer()
    open_time.reset()
    assert repr(open_time) == "<OpenTime [at most 2 s, 0 doublings]>"


def test_the_share_of_load_rises_linearly_to_the_whole() -> None:
    shares = [share_of_load(second / 10) for second in range(101)]
    assert shares[0] == FIRST_SHARE
    assert shares[50] == pytest.approx((FIRST_SHARE + 1.0) / 2)
    assert shares[-1] == share_of_load(1e9) == 1.0
    assert all(later > earlier for earlier, later in pairwise(shares))


def test_a_clock_that_steps_back_leaves_the_first_share() -> None:
    assert share_of_load(-100.0) == FIRST_SHARE
