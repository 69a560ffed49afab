from __future__ import annotations

from trunkline.policy import BreakerPolicy
from trunkline.resilience.evidence import Evidence

POLICY = BreakerPolicy()


def hard_failure(evidence: Evidence, now: float = 0.0, incident: object | None = None) -> str | None:
    return evidence.failure(now, None, soft=False, incident=incident)


def soft_failure(evidence: Evidence, now: float = 0.0) -> str | None:
    return evidence.failure(now, None, soft=True, incident=None)


def test_the_fifth_failure_in_a_row_is_reason_enough() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    assert [hard_failure(evidence) for _ in range(5)] == [None] * 4 + ["5 failures in a row"]


def test_a_success_ends_a_run_of_failures() -> None:
    evidence = Evidence(BreakerPolicy(ratio=1.0, minimum=100), slow=8.0)
    for _ in range(20):
        assert [hard_failure(evidence) for _ in range(4)] == [None] * 4
        assert evidence.success(0.0, None) is None


def test_a_run_of_failures_has_no_time_limit() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    assert [hard_failure(evidence, hour * 3600.0) for hour in range(5)][-1] == "5 failures in a row"


def test_one_failure_can_be_a_run() -> None:
    assert hard_failure(Evidence(BreakerPolicy(consecutive=1), slow=8.0)) == "1 failure in a row"


def test_half_of_ten_outcomes_failed_is_reason_enough_and_of_nine_is_not() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    for _ in range(4):
        assert evidence.success(0.0, None) is None
        assert hard_failure(evidence) is None
    assert evidence.success(0.0, None) is None
    assert hard_failure(evidence) == "50 % of 10 outcomes in 30 s failed"


def test_just_under_half_of_the_outcomes_failed_is_no_reason() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    for _ in range(50):
        assert evidence.success(0.0, None) is None
    for _ in range(49):
        assert soft_failure(evidence) is None
    assert soft_failure(evidence) == "50 % of 100 outcomes in 30 s failed"


def test_the_outcome_that_completes_the_minimum_is_judged_even_if_good() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    for _ in range(9):
        assert soft_failure(evidence) is None
    assert evidence.success(0.0, None) == "90 % of 10 outcomes in 30 s failed"


def test_failures_older_than_the_window_are_no_share_of_it() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    for _ in range(9):
        soft_failure(evidence, 0.0)
    assert evidence.success(31.0, None) is None
    assert evidence.summary == "0 failures in a row, 0 of 1 outcomes failed, 0 slow"


def test_soft_failures_neither_make_nor_break_a_run() -> None:
    evidence = Evidence(BreakerPolicy(minimum=100), slow=8.0)
    for _ in range(4):
        assert hard_failure(evidence) is None
    for _ in range(20):
        assert soft_failure(evidence) is None
    assert hard_failure(evidence) == "5 failures in a row"


def test_failures_of_one_incident_are_one_failure_to_the_run_and_to_the_share() -> None:
    evidence, lost = Evidence(POLICY, slow=8.0), object()
    assert [hard_failure(evidence, incident=lost) for _ in range(50)] == [None] * 50
    assert evidence.summary == "1 failure in a row, 1 of 1 outcomes failed, 0 slow"


def test_failures_of_five_incidents_are_five() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    assert [hard_failure(evidence, incident=object()) for _ in range(5)][-1] == "5 failures in a row"


def test_four_fifths_slow_is_reason_enough_however_the_attempts_ended() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    for _ in range(2):
        assert evidence.success(0.0, 7.99) is None
    for _ in range(4):
        assert evidence.success(0.0, 8.0) is None
    for _ in range(3):
        assert evidence.failure(0.0, 10.0, soft=False, incident=None) is None
    assert evidence.success(0.0, 8.0) == "80 % of 10 outcomes in 30 s were slow"


def test_just_under_four_fifths_slow_is_no_reason() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    for _ in range(21):
        assert evidence.success(0.0, 1.0) is None
    for _ in range(79):
        assert evidence.success(0.0, 8.0) is None


def test_an_outcome_of_unknown_duration_is_not_slow() -> None:
    evidence = Evidence(POLICY, slow=8.0)
    assert [evidence.success(0.0, None) for _ in range(50)] == [None] * 50


def test_what_is_cleared_counts_no_more() -> None:
    evidence, lost = Evidence(POLICY, slow=8.0), object()
    hard_failure(evidence, incident=lost)
    for _ in range(3):
        evidence.failure(0.0, 9.0, soft=False, incident=None)
    evidence.clear()
    assert repr(evidence) == "<Evidence [0 failures in a row, 0 of 0 outcomes failed, 0 slow]>"
    hard_failure(evidence, incident=lost)
    assert evidence.summary == "1 failure in a row, 1 of 1 outcomes failed, 0 slow"
