//! x
pub mod generator;
