"""Every decision, as pure functions: no I/O, no clock, an answer to every input."""
