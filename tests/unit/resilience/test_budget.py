from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from trunkline.policy import RetryPolicy
from trunkline.resilience.budget import RetryBudget, Spent


def spend(budget: RetryBudget, *, timeout: bool = False, incident: object | None = None) -> Spent:
    spent = budget.try_spend(timeout=timeout, incident=incident)
    assert spent is not None
    return spent


def test_a_full_budget_pays_ten_retries_and_not_one_more() -> None:
    budget = RetryBudget(RetryPolicy())
    for _ in range(10):
        spend(budget)
    assert budget.try_spend(timeout=False, incident=None) is None
    assert repr(budget) == "<RetryBudget [0 of 100 tokens, 10 retries granted, 1 refused]>"


def test_a_retry_after_a_timeout_costs_twice_as_much() -> None:
    budget = RetryBudget(RetryPolicy())
    spend(budget, timeout=True)
    assert budget.balance == 80.0


def test_a_retry_that_succeeds_is_given_back_whole() -> None:
    budget = RetryBudget(RetryPolicy())
    budget.retry_succeeded(spend(budget, timeout=True))
    assert budget.balance == 100.0


def test_a_retry_is_given_back_once() -> None:
    budget = RetryBudget(RetryPolicy())
    first, _ = spend(budget), spend(budget)
    budget.retry_succeeded(first)
    budget.retry_succeeded(first)
    assert budget.balance == 90.0


def test_successes_fill_the_budget_one_by_one_and_never_over_the_brim() -> None:
    budget = RetryBudget(RetryPolicy())
    spend(budget)
    for filled in range(91, 101):
        budget.succeeded_first_try()
        assert budget.balance == filled
    budget.succeeded_first_try()
    assert budget.balance == 100.0


def test_retries_after_one_lost_connection_are_paid_once() -> None:
    budget, lost = RetryBudget(RetryPolicy()), object()
    spent = [spend(budget, incident=lost) for _ in range(50)]
    assert budget.balance == 90.0
    for share in spent:
        budget.retry_succeeded(share)
    assert budget.balance == 100.0


def test_two_lost_connections_are_paid_twice() -> None:
    budget = RetryBudget(RetryPolicy())
    spend(budget, incident=object())
    spend(budget, incident=object())
    assert budget.balance == 80.0


def test_an_incident_that_could_not_be_paid_is_not_taken_for_paid() -> None:
    budget, lost = RetryBudget(RetryPolicy(budget=10.0)), object()
    spend(budget)
    assert budget.try_spend(timeout=False, incident=lost) is None
    assert budget.try_spend(timeout=False, incident=lost) is None


def attempts_per_call_and_success(p: float, *, calls: int, seed: int) -> tuple[float, float]:
    """Three attempts at most, each failing with probability `p`; the same policy throughout."""
    rng, budget, policy = random.Random(seed), RetryBudget(RetryPolicy()), RetryPolicy()
    attempts = successes = 0
    for _ in range(calls):
        spent: list[Spent] = []
        for attempt in range(policy.attempts):
            if attempt:
                paid = budget.try_spend(timeout=False, incident=None)
                if paid is None:
                    break
                spent.append(paid)
            attempts += 1
            if rng.random() >= p:
                successes += 1
                if spent:
                    budget.retry_succeeded(spent[-1])
                else:
                    budget.succeeded_first_try()
                break
    return attempts / calls, successes / calls


def test_a_total_outage_makes_no_retry_storm() -> None:
    amplification, _ = attempts_per_call_and_success(1.0, calls=300, seed=1)
    assert amplification == pytest.approx(1.03, abs=0.01)


def test_with_every_fifth_attempt_failing_99_percent_of_the_calls_succeed() -> None:
    shares = [attempts_per_call_and_success(0.2, calls=600, seed=seed)[1] for seed in range(20)]
    assert sum(shares) / len(shares) > 0.985


class BudgetAgainstLedger(RuleBasedStateMachine):
    """The budget beside a plain ledger: a list of charges, and a set of all incidents ever paid for."""

    paid = Bundle("paid")

    @initialize(tokens=st.sampled_from([5.0, 25.0, 100.0]))
    def start(self, tokens: float) -> None:
        self.policy = RetryPolicy(budget=tokens)
        self.budget = RetryBudget(self.policy)
        self.incidents = [object() for _ in range(4)]
        self.known: set[int] = set()
        self.left = tokens

    @rule(target=paid, timeout=st.booleans(), which=st.none() | st.integers(0, 3))
    def pay(self, which: int | None, *, timeout: bool) -> object:
        incident = None if which is None else self.incidents[which]
        spent = self.budget.try_spend(timeout=timeout, incident=incident)
        price = 20.0 if timeout else 10.0
        if which in self.known:
            assert spent is not None
            price = 0.0
        elif self.left < price:
            assert spent is None
            return multiple()
        assert spent is not None
        if which is not None:
            self.known.add(which)
        self.left -= price
        return (spent, price)

    @rule(share=consumes(paid))
    def retry_succeeds(self, share: tuple[Spent, float]) -> None:
        spent, price = share
        self.budget.retry_succeeded(spent)
        self.left = min(self.left + price, self.policy.budget)

    @rule(times=st.integers(1, 12))
    def first_tries_succeed(self, times: int) -> None:
        for _ in range(times):
            self.budget.succeeded_first_try()
        self.left = min(self.left + times, self.policy.budget)

    @invariant()
    def the_books_agree_and_balance(self) -> None:
        assert self.budget.balance == self.left
        assert 0.0 <= self.budget.balance <= self.policy.budget


BudgetAgainstLedger.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestBudgetAgainstLedger = BudgetAgainstLedger.TestCase
