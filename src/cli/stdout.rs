//! How results get to stdout: whoever reads them may stop early (`| head`), and whatever else keeps them back is told.

use std::io::{self, Write};

use anyhow::Context;

/// Writes a result. That its reader has gone is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    despite_closed_pipe(hand_over(text)).context("cannot write to stdout")
}

/// Results of several steps, none of which is left undone because what came of the one before cannot be told.
#[derive(Default)]
pub(super) struct Results {
    failed: Option<anyhow::Error>,
}

impl Results {
    /// Writes the next one.
    pub(super) fn print(&mut self, text: &str) {
        if let Err(error) = print(text) {
            self.failed.get_or_insert(error);
        }
    }

    /// Tells the first failure.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.failed.map_or(Ok(()), Err)
    }
}

/// Writes what is to be had only once, such as a key: it must arrive.
pub(super) fn hand_over(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // What stands behind the last newline would be held back, and lost without a word.
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// Success also where the reader has gone: it has seen enough.
pub(super) fn despite_closed_pipe(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_has_seen_enough_and_a_full_disk_is_told() {
        assert!(despite_closed_pipe(Ok(())).is_ok());
        assert!(despite_closed_pipe(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(despite_closed_pipe(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
