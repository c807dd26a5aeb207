//! Towards the generators: choose one, forward, judge what came back.
pub mod wire;
