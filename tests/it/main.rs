//! Everything that needs the gateway as a whole, or a socket.

mod charges;
mod corpus;
mod dialects;
mod framing;
mod gateway;
mod generator;
mod generators;
mod headers;
mod layers;
mod limits;
mod reload;
mod secrets;
mod secured;
mod serving;
mod startup;
