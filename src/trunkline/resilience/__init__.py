"""The decisions of the call path, as pure functions of what happened and of the time given to them.

Nothing here waits, reads a clock, draws from a shared random source or talks to anybody: `now` is an argument in
seconds of a monotonic clock, randomness is a `random.Random`. The layers ask, and act.
"""
