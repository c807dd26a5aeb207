//! The data path, from a client's socket to the answer.

pub mod listener;
