//! Sockets: accepting connections, and turning each one's bytes into requests that have exactly one reading.
//!
//! hyper speaks HTTP here, over a guard that looks at every byte first ([`Framing`]), answers in our own words what
//! hyper would swallow or answer without any, and keeps the deadlines. A refused request arrives at the handler like
//! any other, as an [`Arrival`] with a [`Rejection`]: so there is one path that answers and records.
//!
//! Deliberately absent: TLS, HTTP/2, upgrades, and every question of who may ask for what. Start at
//! [`serve_connection`].

mod accept;
mod bind;
mod caps;
mod connection;
mod counts;
mod framing;
mod guard;
mod proxy_protocol;
mod serve;
mod settings;
#[cfg(test)]
mod tests;
mod thread;
mod violation;

pub use self::{
    accept::serve_listener,
    bind::bind,
    caps::{ConnectionCaps, Seat},
    connection::{ConnectionState, Origin},
    counts::{CapReached, Count, Deadline, ListenerCounts},
    framing::{Framing, Position, Refused, Vetted},
    proxy_protocol::{Preface, read_preface},
    serve::{Arrival, read_body, serve_connection},
    settings::{CapSettings, Deadlines, FramingLimits, ListenerSettings},
    thread::{ListenerThread, Stage, TICK},
    violation::{Rejection, Violation},
};
