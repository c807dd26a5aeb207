//! When every generator fails for a while.

use super::random::Random;
use super::record::Request;

/// An outage, and how programs take it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    pub from: u64,
    pub to: u64,
    /// Which share of programs tries again by itself.
    pub retrying: f64,
    /// How long these wait, in milliseconds.
    pub wait: u64,
}

/// After so many tries a program gives up.
const TRIES_MAX: u16 = 200;

impl Outage {
    pub const fn holds(&self, at: u64) -> bool {
        self.from <= at && at < self.to
    }

    /// How long a program waits until it asks again; `None` for one that does not. A program does the same each time.
    pub fn retries_after(&self, request: &Request, chance: &mut Random) -> Option<u64> {
        let retries = Random::numbered(request.client.viewer, 0x0072_6574_7279).chance(self.retrying);
        (retries && request.tries < TRIES_MAX).then(|| self.wait + chance.below(self.wait / 20 + 1))
    }
}
