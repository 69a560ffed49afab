"""What the registry knows of one server: its policy, its latest listing, and what its tools were before."""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.policy import ServerPolicy
from trunkline.registry.availability import Availability
from trunkline.registry.listing import MAX_TOOLS, Listing

__all__ = ["KnownServer"]


@dataclass(slots=True)
class KnownServer:
    """One server, whether it can be reached or not."""

    policy: ServerPolicy
    availability: Availability
    listing: Listing | None = None
    remembered: dict[str, str] = field(default_factory=dict)
    """Fingerprints by the server's own names, kept when a tool goes: it may come back as something else."""

    def drifted(self, listing: Listing) -> dict[str, str]:
        """The tools of a new listing that differ from what is remembered, with their old fingerprints."""
        known = self.remembered
        return {target: known[target] for target, now in listing.fingerprints.items() if known.get(target, now) != now}

    def take(self, listing: Listing) -> bool:
        """Keep a new listing; returns whether it differs from the one before."""
        old, self.listing = self.listing, listing
        for target, print_of in listing.fingerprints.items():
            # Renewed memories go to the end, so that the oldest are the first to be dropped.
            self.remembered.pop(target, None)
            self.remembered[target] = print_of
        for target in list(self.remembered)[: -2 * MAX_TOOLS]:
            del self.remembered[target]
        return old is None or list(old.definitions.items()) != list(listing.definitions.items())
