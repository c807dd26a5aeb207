//! Policies: text in, a checked and compiled set out. Reads no files itself: it is handed their names and bytes.
//!
//! ```text
//! Sources --reader, file--> Forms --check, feed--> (no errors) --compile--> PolicySet
//!                              \____ Diagnostics, all of them at once ____/
//! ```
//!
//! Read [`set`] first: it is what everything here is for. Then [`mod@file`], the collected form, and [`mod@compile`].

pub mod check;
pub mod compile;
pub mod counter;
pub mod diagnostic;
pub mod diff;
pub mod feed;
pub mod file;
mod key_index;
pub mod lists;
pub mod networks;
pub(crate) mod ranges;
pub mod reader;
pub mod reference;
pub mod set;
pub mod sources;
pub mod target;
pub mod viewbot;

pub use compile::{Compiled, compile};
pub use diagnostic::Diagnostic;
pub use reference::reference;
pub use set::PolicySet;
pub use sources::Sources;
