"""What one evaluation of the alert rules costs: 200 domains, four rules over each, once with requests in all of them.

    python benchmarks/alerts.py [--domains 200] [--rounds 200] [--quick]

Quoted are medians over evaluations, with their quartiles, of processor time, on a clock that the benchmark moves a
second at a time. `busy` has requests in every domain in every second, and 5 % of the domains in trouble; `idle` has
none. Beside it stands what fifty servers add, a fifth of them down.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median, quantiles

from trunkline.alerts import AlertManager
from trunkline.health.report import DependencyHealth, HealthReport
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.policy import AlertRule, AlertSettings

RULES = {
    "Errors": AlertRule(bad="error", limit=0.05),
    "Mean": AlertRule(bad="mean", limit=2.0),
    "Errors1h": AlertRule(bad="error", limit=0.0144, long=3600.0, short=300.0),
    "Slow": AlertRule(bad="slow", slower_than=1.0, limit=0.05),
}
STATES = {
    "ServerDown": AlertRule(of="health", bad="state", for_=10.0),
    "CircuitOpen": AlertRule(of="circuit", bad="state", for_=10.0),
}


class Bench:
    """A collector and its alerts, on a clock of their own."""

    def __init__(self, rules: dict[str, AlertRule], servers: int = 0) -> None:
        self.now = 0.0
        self.metrics = MetricsCollector(clock=lambda: self.now)
        parts = tuple(
            DependencyHealth(f"server-{number}", "down" if number % 5 == 0 else "healthy", 0.0, "")
            for number in range(servers)
        )
        report = HealthReport("degraded", parts, (), 0.0)
        self.alerts = AlertManager(AlertSettings(rules=rules), metrics=self.metrics, health=lambda: report)

    def second(self, domains: int) -> float:
        """Let a second pass, with ten requests in each domain; return what the evaluation took (s)."""
        for number in range(domains):
            outcome = "error" if number % 20 == 0 else "ok"
            for _ in range(10):
                self.metrics.record(f"domain-{number}", "ask", duration=0.1, outcome=outcome)
        self.now += 1.0
        # The fold is made once a second in any case.
        self.metrics.fold()
        started = time.process_time()
        self.alerts.evaluate()
        return time.process_time() - started


def told(what: str, costs: list[float]) -> str:
    low, _, high = quantiles(costs, n=4)
    return f"{what:<34} {median(costs) * 1e3:8.2f} ms  [{low * 1e3:.2f} .. {high * 1e3:.2f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domains", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    options = parser.parse_args()
    domains, rounds = (20, 8) if options.quick else (options.domains, options.rounds)

    bench = Bench(RULES)
    warm = 8 if options.quick else 200
    busy = [bench.second(domains) for _ in range(warm + rounds)][warm:]
    print(told(f"{domains} domains x {len(RULES)} rules, busy", busy))
    idle = [bench.second(0) for _ in range(rounds)]
    print(told(f"{domains} domains x {len(RULES)} rules, idle", idle))
    servers = Bench(STATES, servers=50)
    print(told("50 servers x 2 rules", [servers.second(0) for _ in range(warm + rounds)][warm:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
