//! Sockets: accepting connections, and turning each one's bytes into requests that have exactly one reading.
//!
//! HTTP/1.1 towards the clients is spoken here, in the little of it that this gateway needs: one look at each head, which
//! refuses what has two readings ([`Framing`]) and notes where its parts stand, so that nobody parses it again; bodies
//! that are read whole, when somebody wants them; answers written in one piece. A server of hyper's under the same checks
//! parses each head a second time into a map, and takes 20,000 instructions more for a request; and the checks have to come
//! first, for it swallows some of what must be refused. A refused request arrives at the handler like any other, as an
//! [`Arrival`] with a [`Rejection`]: so there is one path that answers and records.
//!
//! Deliberately absent: TLS, HTTP/2, upgrades, and every question of who may ask for what. Start at
//! [`serve_connection`].

mod accept;
mod bind;
mod body;
mod caps;
mod connection;
mod conversation;
mod counts;
mod framing;
mod inbound;
mod outbound;
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
    body::RequestBody,
    caps::{ConnectionCaps, Seat},
    connection::{ConnectionState, Origin},
    counts::{CapReached, Count, Deadline, ListenerCounts},
    framing::{Framing, HeadMap, Position, RequestHead},
    proxy_protocol::{Preface, read_preface},
    serve::{Arrival, serve_connection},
    settings::{CapSettings, Deadlines, FramingLimits, ListenerSettings},
    thread::{ListenerThread, Stage, TICK},
    violation::{Rejection, Violation},
};
