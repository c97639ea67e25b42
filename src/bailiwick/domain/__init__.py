"""Values and decisions: pure, without I/O, clock, randomness or logging."""
