//! An answer, read whole: its status, the headers that were asked for, its body.

use std::fmt;

use bytes::{Buf, Bytes};
use http::StatusCode;

use crate::base::header::is_name;

/// How many header names one [`Wanted`] may hold.
pub const WANTED_MAX: usize = 8;

/// The names of the headers that a caller wants to see; all others are dropped unread.
///
/// Names are lower-case. Built once, in a `const`: a wrong list does not compile.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    names: &'static [&'static str],
    /// Bit `n` is set if a name is `n` bytes long: most headers are dropped by this one test.
    lengths: u64,
}

impl Wanted {
    /// No header at all.
    pub const NONE: Self = Self::new(&[]);

    /// A list of at most [`WANTED_MAX`] names of 1 to 63 bytes, lower-case.
    ///
    /// # Panics
    ///
    /// If the list breaks these rules; in a `const`, that is an error of the compiler.
    pub const fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= WANTED_MAX, "too many wanted headers");
        let mut lengths = 0;
        let mut at = 0;
        while at < names.len() {
            let name = names[at].as_bytes();
            assert!(!name.is_empty() && name.len() < 64, "a wanted header's name is 1 to 63 bytes long");
            let mut byte = 0;
            while byte < name.len() {
                assert!(!name[byte].is_ascii_uppercase(), "a wanted header's name is lower-case");
                byte += 1;
            }
            lengths |= 1 << name.len();
            at += 1;
        }
        Self { names, lengths }
    }

    /// The place of `name`, in any case, in the list.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        if name.len() >= 64 || self.lengths & (1 << name.len()) == 0 {
            return None;
        }
        self.names.iter().position(|wanted| is_name(name.as_bytes(), wanted))
    }
}

/// Where one header's value lies in the answer's bytes; `start == u32::MAX` if the header was absent.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) const ABSENT: Self = Self { start: u32::MAX, end: u32::MAX };
}

/// A generator's answer, complete.
///
/// One piece of memory holds the wanted headers' values and, after them, the body; it is given back when the answer and every
/// [`Bytes`] taken from it are gone.
#[derive(Clone)]
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) wanted: Wanted,
    pub(super) spans: [Span; WANTED_MAX],
    pub(super) bytes: Bytes,
    pub(super) body_start: usize,
}

impl Answer {
    /// The status, 200 to 599.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The value of a header that the [`Wanted`] list names, without the white space around it; the first one if the
    /// generator sent several. `name` is lower-case. Visible ASCII, spaces, tabs and bytes from 128.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let at = self.wanted.names.iter().position(|wanted| *wanted == name)?;
        let Span { start, end } = self.spans[at];
        self.bytes.get(start as usize..end as usize)
    }

    /// The headers that the [`Wanted`] list names and that there are, in the list's order: as [`header`](Self::header).
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let places = self.wanted.names.iter().zip(&self.spans);
        places
            .filter_map(|(name, span)| Some((*name, self.bytes.get(span.start as usize..span.end as usize)?)))
    }

    /// The body, with chunking undone; any content coding is still on it.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_start..]
    }

    /// The body alone, without copying it.
    pub fn into_body(mut self) -> Bytes {
        self.bytes.advance(self.body_start);
        self.bytes
    }
}

/// Names of the headers that are there, never their values: `X-Set-TT-Cookie` is a session.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there: Vec<&str> =
            self.wanted.names.iter().filter(|name| self.header(name).is_some()).copied().collect();
        f.debug_struct("Answer")
            .field("status", &self.status.as_u16())
            .field("headers", &there)
            .field("body_bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_ignore_case_and_lengths_filter() {
        const WANTED: Wanted = Wanted::new(&["x-room-id", "content-type"]);
        assert_eq!(WANTED.position("X-Room-Id"), Some(0));
        assert_eq!(WANTED.position("Content-Type"), Some(1));
        assert_eq!(WANTED.position("x-room-ie"), None);
        assert_eq!(WANTED.position("set-cookie"), None);
        assert_eq!(WANTED.position(&"x".repeat(73)), None, "a length beyond the mask does not wrap around");
        assert_eq!(Wanted::NONE.position("date"), None);
    }
}
