//! signgate
pub mod base;
pub mod policy;
