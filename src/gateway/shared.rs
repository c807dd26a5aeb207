//! What all threads of the data path have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ipnet::IpNet;

use super::address::AddressSource;
use super::key_attempts::KeyAttempts;
use crate::base::id::KeyId;
use crate::base::net::Prefix;
use crate::base::time::{Clock, Timestamp};
use crate::dialect::limits::LimitsMemory;
use crate::engine::Engine;
use crate::policy::PolicySet;
use crate::telemetry::metrics::{Metrics, RuleMetrics};

/// A policy set with the handles that count its decisions, swapped as one: no request can count a decision of one set in
/// the handles of another.
#[derive(Debug)]
pub struct Live {
    /// The set.
    pub policy: PolicySet,
    /// Its handles.
    pub rules: RuleMetrics,
    /// The how-manieth set since the start, from 1.
    pub generation: u64,
}

/// How the data path behaves, beside the policy.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where the client's address comes from.
    pub address_source: AddressSource,
    /// The operator's own proxies.
    pub trusted_proxies: Vec<IpNet>,
    /// A path that answers 200 without being counted or recorded, for load balancers.
    pub health_path: Option<String>,
}

/// So many proxies' polls of the limits are remembered.
const POLLING_PROXIES_MAX: usize = 65_536;

/// What all threads share.
pub struct Shared {
    /// All counts, and the decisions.
    pub engine: Engine,
    /// The policy in force.
    pub live: ArcSwap<Live>,
    /// The clock.
    pub clock: Clock,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// Who showed too many unknown keys.
    pub key_attempts: KeyAttempts,
    /// The settings.
    pub settings: Settings,
    /// This deployment's own key, under which sessions are hashed.
    pub hash_key: [u8; 32],
    polls: Mutex<LimitsMemory>,
    sequence: AtomicU64,
}

/// Without the deployment's key: with it, whoever reads a log can tell whose session a hash in the record is.
impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("engine", &self.engine)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Everything as new.
    pub fn new(
        engine: Engine,
        live: Live,
        clock: Clock,
        metrics: Arc<Metrics>,
        settings: Settings,
        hash_key: [u8; 32],
    ) -> Self {
        Self {
            engine,
            live: ArcSwap::from_pointee(live),
            clock,
            metrics,
            key_attempts: KeyAttempts::default(),
            settings,
            hash_key,
            polls: Mutex::new(LimitsMemory::new(POLLING_PROXIES_MAX)),
            sequence: AtomicU64::new(0),
        }
    }

    /// The number of the next decision: with its time it tells the order of all.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// The limits answer of one poll: fresh, or what was told last where the proxy polls too often.
    pub(super) fn poll(
        &self,
        proxy: Prefix,
        caller: Option<&KeyId>,
        now: Timestamp,
        fresh: impl FnOnce() -> Bytes,
    ) -> Bytes {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner).answer(proxy, caller, now, fresh)
    }
}

/// The gateway itself bounds how long a request may take, by what its client waits (`contract.md` section 3): an answer that
/// comes later than that is for nobody.
pub(super) const PATIENCE_JAVA: Duration = Duration::from_millis(2_800);
/// Node 1.x waits 5 seconds.
pub(super) const PATIENCE_NODE_1: Duration = Duration::from_millis(4_700);
/// Python 6.6.5 waits 15 seconds; the newer ones do not say.
pub(super) const PATIENCE: Duration = Duration::from_secs(14);
