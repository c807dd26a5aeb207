//! Swaps policies in: whole, checked, in one step. A bad set leaves the one before in force.
//!
//! One thread looks at the files every two seconds and whenever it is told to (SIGHUP): events of the file system alone
//! miss symbolic links that are swapped. It also lets go of retired sets, so that no data thread ever frees one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::policies::{Directory, Look, ReadError, read_directory};
use super::shipped;
use crate::base::time::Timestamp;
use crate::gateway::{Live, Shared};
use crate::policy::diagnostic::render;
use crate::policy::set::{Digest, Family};
use crate::policy::{Diagnostic, PolicySet, Sources, compile};
use crate::telemetry::access_log::{Event, RecordLog};
use crate::telemetry::metrics::{Metrics, RuleMetrics};
use crate::telemetry::readiness::{InForce, Readiness, ReloadError};

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where policies come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyPlace {
    /// A directory.
    Directory(PathBuf),
    /// What is compiled in.
    Shipped,
}

/// Why a policy set did not come about.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its files could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They say what cannot be.
    #[error("{}", render(.0).trim_end())]
    Wrong(Vec<Diagnostic>),
}

/// A set that was read and compiled.
#[derive(Debug)]
pub struct Loaded {
    /// The set.
    pub policy: PolicySet,
    /// What was probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// What its files looked like.
    pub look: Look,
}

impl PolicyPlace {
    /// Reads and compiles.
    pub fn load(&self, now: Timestamp) -> Result<Loaded, LoadError> {
        let Directory { sources, look } = self.read()?;
        let compiled = compile(&sources, now).map_err(LoadError::Wrong)?;
        Ok(Loaded { policy: compiled.set, warnings: compiled.warnings, look })
    }

    fn read(&self) -> Result<Directory, ReadError> {
        match self {
            Self::Directory(path) => read_directory(path),
            Self::Shipped => Ok(Directory { sources: shipped::sources(), look: Look::default() }),
        }
    }

    /// The files alone, to look at or to edit.
    pub fn sources(&self) -> Result<Sources, ReadError> {
        self.read().map(|directory| directory.sources)
    }
}

impl Live {
    /// A set with its handles. The handles come first: then the numbers of rules that stay are never lost.
    pub fn new(policy: PolicySet, metrics: &Metrics, generation: u64) -> Self {
        let rules = RuleMetrics::resolve(metrics, &policy);
        metrics.policy_in_force(&policy, generation);
        Self { policy, rules, generation }
    }
}

/// The thread that looks after the policies.
#[derive(Debug)]
pub struct Reloader {
    place: PolicyPlace,
    shared: Arc<Shared>,
    readiness: Readiness,
    record: Arc<RecordLog>,
    look: Look,
    /// The last set that was refused: one complaint is enough.
    refused: Option<Digest>,
    unreadable: bool,
    retired: Vec<Arc<Live>>,
}

impl Reloader {
    /// For the set that is in force, and the look that its files had when they were read.
    pub fn new(
        place: PolicyPlace,
        look: Look,
        shared: Arc<Shared>,
        readiness: Readiness,
        record: Arc<RecordLog>,
    ) -> Self {
        Self { place, shared, readiness, record, look, refused: None, unreadable: false, retired: Vec::new() }
    }

    /// Looks every [`LOOK_EVERY`] and at each message, until the sender is gone.
    pub fn run(mut self, asked: &Receiver<()>) {
        loop {
            let told = match asked.recv_timeout(LOOK_EVERY) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.look(told);
            self.retired.retain(|live| Arc::strong_count(live) > 1);
        }
    }

    /// Reads again where something changed or where it was told to.
    pub fn look(&mut self, told: bool) {
        let PolicyPlace::Directory(path) = &self.place else {
            if told {
                tracing::info!("the shipped policies are in force: there is nothing to read again");
            }
            return;
        };
        if !told && !self.unreadable && self.look.again(path) == self.look {
            return;
        }
        if told {
            self.unreadable = false;
        }
        let now = self.shared.clock.now();
        match self.place.read() {
            Err(error) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    self.failed(&format!("{error}: {}", sources_of(&error)), now);
                }
            }
            Ok(Directory { sources, look }) => {
                self.look = look;
                // Files that are back have to be judged anew and told of, though they may be the ones that were there.
                let anew = std::mem::take(&mut self.unreadable) || told;
                self.take(&sources, anew, now);
            }
        }
    }

    fn take(&mut self, sources: &Sources, anew: bool, now: Timestamp) {
        let before = self.shared.live.load_full();
        let digest = sources.digest();
        if anew {
            self.refused = None;
        }
        if self.refused == Some(digest) {
            return;
        }
        if digest == before.policy.digest() {
            if anew || self.refused.take().is_some() {
                tracing::info!(policy = %digest, "policies are unchanged");
                self.in_force(&before, now);
            }
            return;
        }
        match compile(sources, now) {
            Err(diagnostics) => {
                self.refused = Some(digest);
                self.failed(render(&diagnostics).trim_end(), now);
            }
            Ok(compiled) => {
                self.refused = None;
                if !compiled.warnings.is_empty() {
                    tracing::warn!("{}", render(&compiled.warnings).trim_end());
                }
                for lost in counters_that_start_anew(&before.policy, &compiled.set) {
                    tracing::warn!("{lost}");
                }
                let live = Arc::new(Live::new(compiled.set, &self.shared.metrics, before.generation + 1));
                self.shared.live.store(Arc::clone(&live));
                tracing::info!(policy = %digest, generation = live.generation, "new policies are in force");
                self.in_force(&live, now);
                self.record.event(&Event {
                    time: now,
                    seq: 0,
                    event: "reload",
                    policy: Some(digest),
                    detail: None,
                });
                // Freed here, once no request holds it any more, and never by the last request that does.
                self.retired.push(before);
            }
        }
    }

    fn in_force(&self, live: &Live, now: Timestamp) {
        self.shared.metrics.reloaded(true, now);
        self.readiness.policy_in_force(InForce {
            digest: live.policy.digest(),
            generation: live.generation,
            since: now,
        });
    }

    fn failed(&self, why: &str, now: Timestamp) {
        tracing::error!("the new policies are refused, the ones before stay in force:\n{why}");
        self.shared.metrics.reloaded(false, now);
        self.readiness.reload_failed(ReloadError { at: now, message: why.to_owned() });
    }
}

fn sources_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Which rules' counters do not go on in the new set, in words: renamed or removed rules, changed scopes or windows.
pub fn counters_that_start_anew(before: &PolicySet, after: &PolicySet) -> Vec<String> {
    let families = |set: &PolicySet| {
        let mut families: BTreeMap<String, Vec<Family>> = BTreeMap::new();
        for counter in set.counters() {
            families.entry(set.rule(counter.rule).name.to_string()).or_default().push(counter.family);
        }
        families
    };
    let after = families(after);
    let lost = families(before).into_iter().filter_map(|(name, families)| match after.get(&name) {
        Some(same) if families.iter().all(|family| same.contains(family)) => None,
        Some(_) => Some(format!("rule `{name}`: its scope or windows changed, so its counters start anew")),
        None => Some(format!(
            "rule `{name}` is gone: what it counted is dropped (a renamed rule counts from zero)"
        )),
    });
    lost.collect()
}

#[cfg(test)]
mod tests;
