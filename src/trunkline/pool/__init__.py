"""Connections as supervised tasks, and the ledger that lends them to calls."""
