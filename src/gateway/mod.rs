//! The data path: a request comes in, is identified, decided, forwarded, and answered. Every exit is recorded.
//!
//! One current-thread runtime a core, each with its own listening socket; nothing is shared between cores on the way but
//! the decision state and the generators' permits. Read [`admit`] first: it is the whole path on one screen.
//! [`listener`] wraps the sockets, [`exchange`] holds what is known of one request until it is recorded, [`respond`] words
//! the answers, [`shared`] is what all threads have in common.

pub mod address;
pub mod admit;
pub mod exchange;
pub mod key_attempts;
pub mod listener;
pub mod respond;
pub mod shared;

pub use admit::{Staff, Worker};
pub use shared::{Live, Settings, Shared};
