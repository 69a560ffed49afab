"""Background probes, and the last known state of everything."""
