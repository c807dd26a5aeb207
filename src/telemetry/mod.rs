//! What the gateway tells about itself: numbers, one line per request, and log lines. It decides nothing.
//!
//! [`metrics`] counts on the data path with handles that were resolved beforehand; [`access_log`] writes one JSON object
//! per request from a thread of its own, which the data path never waits for; [`logging`] is for people at a terminal;
//! [`readiness`] is what `/readyz` says. Keys, sessions and cookies reach none of them. Read [`access_log::AccessRecord`]
//! first: it says what is known of a request when it is over.

pub mod access_log;
pub mod logging;
pub mod metrics;
pub mod outcome;
pub mod readiness;
