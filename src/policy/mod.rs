//! Policies: text in, a checked and compiled set out. Reads no files itself: it is handed their names and bytes.
//!
//! Read [`set`] first: it is what everything here is for.

pub mod check;
pub mod compile;
pub mod diagnostic;
pub mod feed;
pub mod file;
pub mod lists;
pub mod reader;
pub mod set;
pub mod sources;
pub mod target;

pub use compile::{Compiled, compile};
pub use diagnostic::Diagnostic;
pub use set::PolicySet;
pub use sources::Sources;
