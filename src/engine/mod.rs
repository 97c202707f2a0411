//! Runs what the domain decides: one writer, checks beside it, timers, and the ports through which it reaches the outside.

pub mod ports;
