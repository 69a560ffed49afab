"""Which alert explains which."""

from __future__ import annotations

from trunkline.alerts.inhibition import AlertKey, explanations
from trunkline.policy import AlertSubject

DOWN: AlertKey = ("ServerDown", ("search", ""))
OPEN: AlertKey = ("CircuitOpen", ("search", ""))
TOOL: AlertKey = ("ToolErrors", ("search", "search_web"))
OTHER: AlertKey = ("ToolErrors", ("files", "files_read"))
DOMAIN: AlertKey = ("DomainErrors", ("speech",))
KINDS: dict[AlertKey, AlertSubject] = {DOWN: "health", OPEN: "circuit", TOOL: "tool", OTHER: "tool", DOMAIN: "domain"}
LONE = {"health": [("search", ""), ("files", "")], "circuit": [("search", ""), ("files", "")]}


def explained(*live: AlertKey, **replicas: list[tuple[str, str]]) -> dict[AlertKey, AlertKey]:
    return explanations({key: KINDS.get(key, "circuit") for key in live}, {**LONE, **replicas})  # type: ignore[dict-item]


def test_an_open_circuit_explains_what_goes_wrong_with_its_servers_tools_and_nobody_elses() -> None:
    assert explained(OPEN, TOOL, OTHER, DOMAIN) == {TOOL: OPEN}


def test_a_server_that_is_down_explains_its_circuit_too() -> None:
    assert explained(DOWN, OPEN, TOOL) == {OPEN: DOWN, TOOL: DOWN}


def test_while_one_replica_is_well_the_others_explain_nothing_of_the_tools() -> None:
    one: AlertKey = ("CircuitOpen", ("search", "a"))
    two: AlertKey = ("CircuitOpen", ("search", "b"))
    replicas = [("search", "a"), ("search", "b")]
    assert explained(one, TOOL, circuit=replicas) == {}
    assert explained(one, two, TOOL, circuit=replicas)[TOOL] in (one, two)


def test_where_nothing_else_is_wrong_nothing_is_explained() -> None:
    assert explained(TOOL, DOMAIN) == {}
