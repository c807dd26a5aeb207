//! Labelled traffic: what a gateway would have recorded of a known world, with the truth on every line.
//!
//! A detector can only be judged where it is known who is who. [`Traffic`] makes ordinary people, programs and firms
//! (`personas`), honest stress (`stress`) and attacks (`attacks`), in one of two [`Population`]s, from a seed: the same
//! [`Settings`] make the same bytes. Lines are in the input format of replay, with one field more, the label, which replay
//! does not look at. (Lengths of time are drawn by logarithms and cosines, whose last bit is the platform's: between
//! platforms, single times may differ by a millisecond.)
//!
//! Deliberately, this room shares no code and no constants with the engine: what is tuned to find bots must not be what makes
//! them. Nor does it know what was decided: bots that react to denials do so by the clock.
//!
//! Read [`Settings`] first, then `agenda` for how time goes on, and `campaign` for how an attack is written.

mod agenda;
mod attacks;
mod campaign;
mod identity;
mod networks;
mod outage;
mod personas;
mod random;
mod record;
mod rooms;
pub mod scenarios;
mod seen;
mod settings;
mod stress;
#[cfg(test)]
mod tests;
mod tools;

pub use agenda::Traffic;
pub use identity::Persona;
pub use record::Record;
pub use scenarios::{Kind, Scenario};
pub use settings::{Population, Settings};

/// Writes the table of networks that goes with all traffic: `prefix,asn,kind`, as a policy's `[networks]` reads it.
pub fn write_networks(out: &mut impl std::io::Write) -> std::io::Result<()> {
    networks::Plan::new(1.0).write_csv(out)
}
