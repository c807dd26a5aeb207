//! Whether the gateway serves, and with what: written by the shell and the reload, read by `/readyz`.

use std::sync::{Arc, PoisonError, RwLock};

use crate::base::time::Timestamp;
use crate::policy::set::Digest;

/// A handle on one shared state; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<RwLock<State>>);

/// What is known now.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Where the gateway stands.
    pub phase: Phase,
    /// The policy in force, once there is one.
    pub policy: Option<InForce>,
    /// Whether that policy was brought back by a rollback, and the files on disk are passed over until they change.
    pub rolled_back: bool,
    /// Why the last reload failed; `None` where it did not.
    pub reload_error: Option<ReloadError>,
    /// The generators, in the order of `signgate.toml`.
    pub generators: Vec<GeneratorState>,
}

/// Where the gateway stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Not serving yet.
    #[default]
    Starting,
    /// Serving.
    Ready,
    /// Taking no new connections: whoever routes to it should stop.
    Stopping,
}

impl Phase {
    /// The word that `/readyz` answers with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
        }
    }
}

/// A policy that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// Its name.
    pub digest: Digest,
    /// The how-manieth since the start, from 1.
    pub generation: u64,
    /// Since when.
    pub since: Timestamp,
}

/// A reload that failed; the policy before it stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadError {
    /// When.
    pub at: Timestamp,
    /// What was wrong, as the log says it.
    pub message: String,
}

/// A generator, as far as it is shown to whoever may read `/readyz`: no URL, which may name what is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratorState {
    /// Its name.
    pub name: String,
    /// Its kind, as `signgate.toml` says it.
    pub kind: &'static str,
    /// Whether requests go to it.
    pub in_use: bool,
}

impl Readiness {
    /// A gateway that is starting.
    pub fn new() -> Self {
        Self::default()
    }

    /// It serves, or stops.
    pub fn enter(&self, phase: Phase) {
        self.change(|state| state.phase = phase);
    }

    /// A policy came into force, which also ends what is said of a failed reload.
    pub fn policy_in_force(&self, policy: InForce, rolled_back: bool) {
        self.change(|state| {
            state.policy = Some(policy);
            state.rolled_back = rolled_back;
            state.reload_error = None;
        });
    }

    /// A reload failed. The gateway stays ready: the policy before stays in force.
    pub fn reload_failed(&self, error: ReloadError) {
        self.change(|state| state.reload_error = Some(error));
    }

    /// What the generators are, or have become.
    pub fn generators(&self, generators: Vec<GeneratorState>) {
        self.change(|state| state.generators = generators);
    }

    /// What is known now.
    pub fn state(&self) -> State {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
