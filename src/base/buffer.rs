//! Memory for a message: a request or an answer while it is read, held or written.
//!
//! A thread keeps what was given back, and gives out first what came back last: such memory is still in the processor's cache,
//! where memory that an allocator hands out in turn is not.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// A head and a small answer fit.
pub const BUFFER_BYTES: usize = 8 << 10;

/// A thread keeps at most so many: half a mebibyte.
const SPARES_MAX: usize = 64;

thread_local! {
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes, with room for [`BUFFER_BYTES`] from the start. Its memory goes back to the thread that drops it, unless it has grown.
///
/// Not `Debug`: keys and sessions pass through.
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty one.
    pub fn new() -> Self {
        let spare = SPARES.try_with(|spares| spares.borrow_mut().pop()).ok().flatten();
        Self(spare.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES)))
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.0.capacity() != BUFFER_BYTES {
            return;
        }
        let mut bytes = std::mem::take(&mut self.0);
        bytes.clear();
        // Where the thread is ending there is nobody to keep it for.
        let _ = SPARES.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < SPARES_MAX {
                spares.push(bytes);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spares() -> usize {
        SPARES.with(|spares| spares.borrow().len())
    }

    #[test]
    fn what_came_back_last_is_given_out_first_and_empty() {
        let (mut one, other) = (Buffer::new(), Buffer::new());
        one.extend_from_slice(b"a secret");
        let place = one.as_ptr();
        drop(other);
        drop(one);
        let again = Buffer::new();
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, BUFFER_BYTES));
    }

    #[test]
    fn no_more_is_kept_than_is_worth_it() {
        let many: Vec<_> = (0..SPARES_MAX + 5).map(|_| Buffer::new()).collect();
        drop(many);
        assert_eq!(spares(), SPARES_MAX);
        let mut large = Buffer::new();
        large.resize(BUFFER_BYTES + 1, 0);
        drop(large);
        assert_eq!(spares(), SPARES_MAX - 1, "one that has grown is freed");
    }
}
