//! What goes on beside the data path: reading policies and swapping them in, sweeping what is over.
//!
//! Both run on threads of their own. Read [`reload::Reloader`] first, then [`desk`]: what it is asked for.

pub mod changes;
pub mod desk;
pub mod feeds;
pub mod generators;
pub mod history;
pub mod place;
pub mod policies;
pub mod reload;
pub mod shipped;
pub mod sweeper;
pub mod watch;
