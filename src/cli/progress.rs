//! How far something long has come: one line on stderr that is written over, where stderr is a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::base::time::{Clock, Timestamp};
use crate::replay::report::Count;

/// How often the line is written.
const EVERY: Duration = Duration::from_millis(200);

/// The line.
pub(super) struct Progress {
    clock: Clock,
    start: Timestamp,
    last: Timestamp,
    shown: bool,
    visible: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        let clock = Clock::system();
        let start = clock.now();
        Self { clock, start, last: start, shown: false, visible: std::io::stderr().is_terminal() }
    }

    /// How long it has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.now().since(self.start)
    }

    /// Tells how far it is: so many of `what`, and so many bytes of so many.
    pub(super) fn tell(&mut self, count: u64, what: &str, (read, size): (u64, Option<u64>)) {
        if !self.visible {
            return;
        }
        let now = self.clock.now();
        if now.since(self.last) < EVERY {
            return;
        }
        self.last = now;
        self.shown = true;
        let line = line(count, what, self.elapsed(), read, size);
        // Nobody is served by a failure to tell.
        let _ = write!(std::io::stderr().lock(), "\r\x1b[2K{line}");
    }

    /// Takes the line away.
    pub(super) fn done(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[2K");
        }
    }
}

fn line(count: u64, what: &str, elapsed: Duration, read: u64, size: Option<u64>) -> String {
    const WIDTH: u64 = 24;
    let secs = elapsed.as_secs_f64().max(0.001);
    #[expect(clippy::cast_sign_loss, reason = "a count over a time is not negative")]
    let rate = (count as f64 / secs) as u64;
    let said = format!("{} {what}, {} a second", Count(count), Count(rate));
    let Some(size) = size.filter(|size| *size > 0) else { return said };
    let read = read.min(size);
    let full = (WIDTH * read / size) as usize;
    let bar = format!("{}{}", "#".repeat(full), "-".repeat(WIDTH as usize - full));
    let left = if read == 0 {
        String::new()
    } else {
        let left = elapsed.mul_f64((size - read) as f64 / read as f64).as_secs();
        format!(", {}:{:02} left", left / 60, left % 60)
    };
    format!("[{bar}] {:3} %  {said}{left}", 100 * read / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_share_rate_and_time_left() {
        let said = line(600_000, "records", Duration::from_secs(2), 25, Some(100));
        assert_eq!(said, "[######------------------]  25 %  600,000 records, 300,000 a second, 0:06 left");
        let unknown = line(10, "records", Duration::from_secs(1), 25, None);
        assert_eq!(unknown, "10 records, 10 a second");
    }
}
