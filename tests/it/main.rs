//! Everything that needs the gateway as a whole, or a socket.

mod addresses;
mod bodies;
mod corpus;
mod deploy;
mod framing;
mod gateway;
mod generator;
mod hard_rules;
mod hostile;
mod keys;
mod layers;
mod serving;
mod smuggling;
