//! How each kind of generator is asked.
//!
//! `euler` speaks the sign API itself: the request goes on as the dialect wrote it, with the generator's own key.
//! `stand-in` is built in and opens nothing.

pub mod euler;
pub mod stand_in;
