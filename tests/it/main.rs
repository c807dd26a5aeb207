//! Everything that needs the gateway as a whole, or a socket.

mod corpus;
mod deploy;
mod framing;
mod gateway;
mod generator;
mod layers;
mod rules;
mod serving;
