//! x
mod corpus;
mod framing;
