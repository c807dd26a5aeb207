//! Policies: text in, a checked and compiled set out. Reads no files itself: it is handed their names and bytes.
//!
//! Read [`set`] first: it is what everything here is for.

pub mod lists;
pub mod set;
pub mod target;

pub use set::PolicySet;
