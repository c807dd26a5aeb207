//! How each generation of clients speaks (`contract.md`): a request in, facts out; what a generator is sent; how answers,
//! refusals and limits are said.
//!
//! Inbound, [`request::Request`] reads a head once and, where there is one, a body: route, key, session, room and URL, each in
//! the one form that is judged, counted and forwarded. What a request says twice must agree, wherever it stands. Nothing here
//! knows a socket: recorded requests take the same road as live ones.
//!
//! Outbound, [`head::Field`] is the closed list of what may leave, [`refusal::Rejected`] words every refusal, and
//! [`limits`] tells a caller what is left.

pub mod answer;
pub mod facts;
pub mod fault;
pub mod forward;
pub mod head;
pub mod limits;
pub mod mention;
pub mod ratelimit;
pub mod recorded;
pub mod refusal;
pub mod request;
pub mod route;
pub mod target;

mod body;
#[cfg(test)]
mod example;
mod library;
mod marks;
mod param;
mod query;
mod rooms;
mod session;
#[cfg(test)]
mod spoken;

pub use fault::Fault;
pub use request::Request;
