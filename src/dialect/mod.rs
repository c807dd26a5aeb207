//! How each generation of clients speaks (`contract.md`): a request in, facts out; what a generator is sent.
//!
//! Inbound, [`request::Request`] reads a head once and, where there is one, a body: route, key, session, room and URL, each in
//! the one form that is judged, counted and forwarded. What a request says twice must agree, wherever it stands. Nothing here
//! knows a socket: recorded requests take the same road as live ones.

pub mod facts;
pub mod fault;
pub mod forward;
pub mod request;
pub mod route;
pub mod target;

mod body;
mod library;
mod param;
mod query;
mod rooms;
mod session;
#[cfg(test)]
mod spoken;

pub use fault::Fault;
pub use request::Request;
