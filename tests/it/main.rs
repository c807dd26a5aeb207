//! Everything that needs the gateway as a whole, or a socket.

mod addresses;
mod bans;
mod bodies;
mod bounds;
mod charges;
mod check;
mod corpus;
mod deploy;
mod dialects;
mod framing;
mod gateway;
mod generator;
mod generators;
mod hard_rules;
mod headers;
mod hostile;
mod keys;
mod labelled;
mod layers;
mod limits;
#[path = "../moods/mod.rs"]
mod moods;
mod purging;
mod reload;
mod replaying;
mod rules;
mod scenarios;
mod secrets;
mod secured;
mod serving;
mod sick;
mod smuggling;
mod startup;
mod stopping;
mod swap;
mod watching;
