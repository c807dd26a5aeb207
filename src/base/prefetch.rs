//! Asking for memory before it is needed.
//!
//! A processor that is told early which cache lines it will be asked for fetches many of them at once; one that finds out when it
//! needs them waits for each, some hundred nanoseconds where none of its caches has it. Asking changes nothing and never waits.

use std::slice;

use prefetch_index::prefetch_index;

/// Asks for the line that a value begins on, and for the one on which its end lies, or what follows it: all of a value of up to
/// 64 bytes. Of a longer one what lies between is asked for field by field.
#[inline]
pub fn prefetch<T>(value: &T) {
    prefetch_index(slice::from_ref(value), 0);
    prefetch_index(slice::from_ref(value), 1);
}

/// Asks for the line that an entry of a slice begins on; in vain, and without harm, where the slice has no such entry.
#[inline]
pub fn prefetch_at<T>(slice: &[T], at: usize) {
    prefetch_index(slice, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It asks for lines that may lie outside of what is there, and reads none.
    #[test]
    fn whatever_is_asked_for_need_not_be_there() {
        prefetch(&[0u8; 200]);
        prefetch(&());
        for at in [0, 1, 63, usize::MAX] {
            prefetch_at::<u64>(&[], at);
            prefetch_at(&[1u64, 2], at);
        }
    }
}
