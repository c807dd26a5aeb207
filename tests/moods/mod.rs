//! Generators that fall sick on command, and clients that look into their answers: for the fault tests (`tests/it/sick.rs`)
//! and for the benches that set the gateway beside other proxies (`benches/sick_generators`, `benches/overload`).
//!
//! A [`generator::Generator`] listens on loopback and has a [`mood::Mood`], which can be changed while it runs; [`answer`]
//! says what a good answer is, byte for byte; [`load`] asks at a steady rate and believes no status. Everything runs in
//! real time on real sockets: what is looked at is what happens on the wire.

#![allow(dead_code, reason = "each of its users needs a part of it")]

pub mod answer;
pub mod generator;
pub mod load;
pub mod mood;
