"""Which alert explains which: a server that is down its circuit and its tools, an open circuit the tools. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from trunkline.alerts.timeline import Subject
from trunkline.policy import AlertSubject

__all__ = ["AlertKey", "explanations"]

AlertKey: TypeAlias = tuple[str, Subject]
"""A rule's name and the subject."""

_CAUSES: tuple[AlertSubject, ...] = ("health", "circuit")


def explanations(
    live: Mapping[AlertKey, AlertSubject], replicas: Mapping[AlertSubject, Collection[Subject]]
) -> dict[AlertKey, AlertKey]:
    """Return, for each of the `live` alerts that another explains, that other one.

    Pending alerts explain too: what they explain must not be told a moment before them. `replicas` are all (server,
    replica) that have a health or a circuit: a server with one good replica left explains nothing.
    """
    down = {subject: key for key, of in live.items() if of == "health" for subject in [key[1]]}
    causes = [_by_server(live, of, replicas.get(of, ())) for of in _CAUSES]
    found: dict[AlertKey, AlertKey] = {}
    for key, of in live.items():
        subject = key[1]
        if of == "circuit" and subject in down:
            found[key] = down[subject]
        elif of in ("tool", "server"):
            cause = next((servers[subject[0]] for servers in causes if subject[0] in servers), None)
            if cause is not None:
                found[key] = cause
    return found


def _by_server(
    live: Mapping[AlertKey, AlertSubject], of: AlertSubject, everyone: Iterable[Subject]
) -> dict[str, AlertKey]:
    """One alert for each server all of whose replicas have one."""
    bad = {key[1]: key for key, kind in live.items() if kind == of}
    servers = {subject[0]: key for subject, key in bad.items()}
    for subject in everyone:
        if subject not in bad:
            servers.pop(subject[0], None)
    return servers
