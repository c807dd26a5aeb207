//! The hard rules of the data path, each over a raw socket against the whole gateway: what a client is answered, what a
//! generator gets to see of it, and what is recorded.

mod connections;
mod headers;
mod requests;
mod room;

use crate::gateway::{OPEN, Setup};
use crate::generator::Generator;

/// A connect that a generator answers.
pub const CONNECT: &str = "/webcast/fetch?room_id=7300000000000000001";

/// A URL that the open policy signs, for the room 5.
pub const URL: &str = "https://webcast.tiktok.com/webcast/im/fetch/?room_id=5";

/// The same, for a query.
pub const URL_ESCAPED: &str = "https%3A%2F%2Fwebcast.tiktok.com%2Fwebcast%2Fim%2Ffetch%2F%3Froom_id%3D5";

/// A gateway that admits everybody, with this generator.
pub fn open(generator: &Generator) -> Setup {
    Setup::new(OPEN).generator(generator.address)
}
