//! The data path.
pub mod address;
pub mod key_attempts;
