//! signgate
pub mod base;
