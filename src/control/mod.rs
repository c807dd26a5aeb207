//! What goes on beside the data path: reading policies and swapping them in, sweeping what is over.
//!
//! Both run on threads of their own. Read [`reload::Reloader`] first.

pub mod policies;
pub mod reload;
pub mod shipped;
pub mod sweeper;
