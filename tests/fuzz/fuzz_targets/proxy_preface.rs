//! The start of a connection from a load balancer: whatever it is, it is read without a panic, is not waited for beyond
//! the bound, and comes to the same however much of it has arrived.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signgate::gateway::listener::{Preface, read_preface};

const BYTES_MAX: usize = 536;

fuzz_target!(|data: &[u8]| {
    let whole = read_preface(data);
    if data.len() >= BYTES_MAX {
        assert_ne!(whole, Preface::More);
    }
    if let Preface::Whole(length, source) = whole {
        assert!(length <= data.len() && length <= BYTES_MAX);
        assert!(source.is_none_or(|source| source.ip() == source.ip().to_canonical()));
    }
    let first_decided =
        (0..=data.len()).map(|end| read_preface(&data[..end])).find(|preface| *preface != Preface::More);
    assert_eq!(first_decided.unwrap_or(Preface::More), whole);
});
