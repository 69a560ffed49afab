"""What `trunkline demo` shows: real servers, callers, a kill, a recovery, and a count of what was really done."""
