"""Answers that may be used again: in memory, and in a Redis that several processes share."""
