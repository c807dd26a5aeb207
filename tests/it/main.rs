//! Everything that needs the gateway as a whole, or a socket.

mod addresses;
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
mod layers;
mod limits;
mod reload;
mod secrets;
mod secured;
mod serving;
mod smuggling;
mod startup;
mod stopping;
mod swap;
