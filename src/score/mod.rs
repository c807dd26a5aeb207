//! What decisions are worth, where it is known who was who: labelled traffic and decisions in, a table out.
//!
//! Two things count, and they pull apart: how much of an attack got through, and how many honest requests were refused. So
//! [`Score`] holds both, with what an operator asks next: how fast it was noticed, which kind of person pays for it, and
//! how many of the rooms and addresses that were hit were the right ones.
//!
//! Requests labelled `preparing` (bots that make themselves known elsewhere first) are neither an attack's signatures nor
//! benign. Read [`Tally`] first. Nothing here knows how decisions come about.

mod read;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod verdicts;

pub use read::{Labelled, ScoreError, Scored, score};
pub use table::text;
pub use tally::{Attack, Benign, Persona, Precision, Preparing, RoomScore, Score, Share, Tally};
pub use verdicts::{Said, Verdicts, Which};
