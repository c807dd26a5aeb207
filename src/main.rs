//! The `signgate` program: see the library for the map, and `signgate --help` for what it does.

use std::process::ExitCode;

/// Fewer instructions per allocation than the system's, and memory that is given back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    signgate::cli::run()
}
