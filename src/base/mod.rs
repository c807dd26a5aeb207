//! The words that every other room uses: time, rates, names, subjects, addresses, secrets, operations, libraries, rooms.
//!
//! Values only: nothing here decides, counts or does I/O. Types stand where a bare number or string would let two
//! things be mixed up. The one clock of the program is [`time::Clock`]; everything else is handed a [`time::Timestamp`].
//! Read [`subject`] first: it says per what the engine counts.

pub mod buffer;
pub mod header;
pub mod host;
pub mod id;
pub mod lanes;
pub mod library;
pub mod net;
pub mod operation;
pub mod prefetch;
pub mod rate;
pub mod request_id;
pub mod room;
pub mod secret;
pub mod subject;
pub mod text;
pub mod time;
pub mod turn;
