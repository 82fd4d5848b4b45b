//! Scenarios: the rule book as text that a dispatcher can read, run on a simulated clock.
