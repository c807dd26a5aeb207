//! Recorded traffic against policies: what was, decided again.
//!
//! A replay takes the road of a live request from `identify` on: facts come from `dialect`, decisions from the engine's own
//! four calls, and nothing here decides. What is left is time. Lines are written when requests end, by several threads, so
//! [`feed::Feed`] sorts them within [`order::WINDOW`]; and no line may see the future, so [`course::Course`] books how a
//! request ended only when it did, at its time and duration.
//!
//! Read [`feed::Feed`] and [`course::Course`], then [`run`]. Memory does not grow with the length of the input: what is held
//! is the traffic of two minutes, tables of names that are capped, and what a gateway would hold of the same people. That
//! has caps, too, but for the counts of the accounts that are named: each has its own until its windows end. So the same
//! people for longer take no more, and ever new ones until a day of them is held.

pub mod course;
pub mod decided;
pub mod ending;
pub mod feed;
pub mod input;
mod line;
pub mod order;
pub mod record;
pub mod report;
pub mod run;
mod scan;
pub mod scenario;
mod shared;
pub mod tally;

#[cfg(test)]
mod tests;
