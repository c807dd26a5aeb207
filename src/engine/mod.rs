//! The deterministic core: facts in, a decision with its reasons out.
//!
//! Nothing here waits, reads a clock, logs, touches a disk or knows HTTP. Time is an argument of every entry point.

pub mod decision;
pub mod facts;
