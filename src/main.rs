//! The `signgate` program: see the library for the map, and `signgate --help` for what it does.

use std::process::ExitCode;

// Fewer instructions per allocation than the system's, and memory that is given back. It takes the place of the C library's `malloc`,
// for SQLite and zstd, too: as Rust's global allocator it would be asked for an alignment each time, and for that makes room for
// one more byte than is asked for, which is the next size, a quarter more, where a table is of 8 KiB.
use mimalloc as _;

fn main() -> ExitCode {
    signgate::cli::run()
}
