//! Swaps policies in: whole, checked, in one step. A bad set leaves the one before in force.
//!
//! One thread looks at the files when an event says so ([`Watch`]), every two seconds whatever events say, and when it is
//! asked to ([`Asked`]). A change is read once two looks a moment apart agree, so that a file is not read while it is being
//! written; what is half-written all the same does not compile, or is followed by another change. The thread also lets go
//! of retired sets, so that no data thread ever frees one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::changes::{bounded, changes, in_short};
use super::desk::{Answer, Asked, Done, Overview, Refused, Why};
use super::feeds::{self, Feeds};
use super::history::{History, written_by_hand};
use super::policies::{Contents, Directory, Look};
use super::watch::Watch;
use crate::base::time::Timestamp;
use crate::gateway::{Live, Shared};
use crate::policy::diagnostic::render;
use crate::policy::diff::Side;
use crate::policy::set::Digest;
use crate::policy::{PolicySet, Sources, compile};
use crate::telemetry::access_log::{Event, RecordLog};
use crate::telemetry::metrics::{FeedNumbers, Metrics, RuleMetrics};
use crate::telemetry::readiness::{InForce, Readiness, ReloadError};

#[cfg(test)]
mod tests;

pub use super::changes::counters_that_start_anew;
pub use super::place::{LoadError, Loaded, PolicyPlace};

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Two looks so far apart have to agree before a change is read.
const SETTLE: Duration = Duration::from_millis(100);

/// A file that is written to all the time is read after so many looks that did not agree.
const UNSETTLED_MAX: u32 = 20;

/// Policies of that size are hashed at each look; larger ones, which have large feeds, at every thirtieth.
const HASHED_EVERY_TIME_BYTES_MAX: u64 = 4 << 20;
const HASHED_EVERY: u32 = 30;

/// So many complaints are remembered, each of which is logged once.
const COMPLAINTS_MAX: usize = 256;

impl Live {
    /// A set with its handles. The handles come first: then the numbers of rules that stay are never lost.
    pub fn new(policy: PolicySet, metrics: &Metrics, generation: u64) -> Self {
        let rules = RuleMetrics::resolve(metrics, &policy);
        metrics.policy_in_force(&policy, generation);
        Self { policy, rules, generation }
    }
}

/// What a gateway starts with.
#[derive(Debug)]
pub struct Start {
    /// The set.
    pub policy: PolicySet,
    /// Its diagnostics, printed; empty where there is none.
    pub warnings: String,
    /// Whether a rollback of an earlier process still stands: the files on disk are passed over.
    pub rolled_back: bool,
    rest: Rest,
}

/// What the policies thread goes on with.
#[derive(Debug)]
pub struct Rest {
    place: PolicyPlace,
    history: History,
    read: Directory,
    /// Of the set in force.
    feeds: Feeds,
    since: Timestamp,
}

impl Start {
    /// Loads what is to be in force: the files of `place`, or, where they were rolled back and have not changed since,
    /// what was brought back then. A feed that shrank while no gateway ran is taken, with a warning: somebody starts a gateway to
    /// have what its files say.
    pub fn load(place: PolicyPlace, mut history: History, now: Timestamp) -> Result<Self, LoadError> {
        let read = place.read()?;
        let disk = written_by_hand(&read.sources);
        if history.passed_over() == Some(disk)
            && let Some(kept) = history.current()
        {
            let sources = kept.sources(place.name());
            match compile(&sources, now) {
                Ok(compiled) => {
                    tracing::warn!(
                        policy = %compiled.set.digest(),
                        "an earlier policy is in force, as it was rolled back to: the files on disk are passed over until \
                         they change or `signgate reload` asks for them"
                    );
                    let rest = Rest { place, history, feeds: Feeds::of(&sources), read, since: now };
                    let warnings = render(&compiled.warnings);
                    return Ok(Self { policy: compiled.set, warnings, rolled_back: true, rest });
                }
                Err(wrong) => tracing::error!(
                    "the policy that was rolled back to cannot be used any more, so the files on disk are taken:\n{}",
                    render(&wrong).trim_end()
                ),
            }
        }
        let compiled = compile(&read.sources, now).map_err(LoadError::Wrong)?;
        let (feeds, mut warnings) = (Feeds::of(&read.sources), render(&compiled.warnings));
        if let Some(kept) = history.current() {
            let shrunk = Feeds::of(&kept.sources(place.name())).shrunk(&feeds);
            warnings.push_str(&feeds::warning(&shrunk, &place.name()));
        }
        history.taken(&read.sources, compiled.set.digest(), now);
        let rest = Rest { place, history, feeds, read, since: now };
        Ok(Self { policy: compiled.set, warnings, rolled_back: false, rest })
    }

    /// The set for the data path, and the rest for the policies thread.
    pub fn split(self) -> (PolicySet, Rest) {
        (self.policy, self.rest)
    }
}

/// The thread that looks after the policies.
#[derive(Debug)]
pub struct Reloader {
    place: PolicyPlace,
    shared: Arc<Shared>,
    readiness: Readiness,
    record: Arc<RecordLog>,
    history: History,
    watch: Option<Watch>,
    /// What was read last, taken or not.
    look: Look,
    contents: Contents,
    /// The last look, where it did not agree with the one before.
    unsettled: Option<Look>,
    unsettled_looks: u32,
    looks: u32,
    next_look: Timestamp,
    /// The policy files as they were read last, to be passed over where there is a rollback.
    disk: Digest,
    /// Of the set in force.
    feeds: Feeds,
    since: Timestamp,
    /// What was complained of since a set was taken: once is enough.
    complained: BTreeSet<[u8; 32]>,
    /// Why nothing is taken from the files as they are.
    error: Option<Refused>,
    retired: Vec<Arc<Live>>,
}

impl Reloader {
    /// For the set that is in force. `watch` is `None` where there are no events to be had.
    pub fn new(
        rest: Rest,
        watch: Option<Watch>,
        shared: Arc<Shared>,
        readiness: Readiness,
        record: Arc<RecordLog>,
    ) -> Self {
        let Rest { place, history, read, feeds, since } = rest;
        let mut reloader = Self {
            place,
            readiness,
            record,
            history,
            watch,
            disk: written_by_hand(&read.sources),
            next_look: shared.clock.now(),
            shared,
            look: read.look.clone(),
            contents: read.contents.clone(),
            unsettled: None,
            unsettled_looks: 0,
            looks: 0,
            feeds,
            since,
            complained: BTreeSet::new(),
            error: None,
            retired: Vec::new(),
        };
        reloader.shared.metrics.reloaded(true, since);
        reloader.show(&read);
        reloader
    }

    /// Looks when something changes, when it is asked to, and every [`LOOK_EVERY`], until it is told to stop.
    pub fn run(mut self, asked: &Receiver<Asked>) {
        loop {
            let wait = self.next_look.since(self.shared.clock.now());
            match asked.recv_timeout(wait) {
                Ok(Asked::Changed) => {
                    // Not at once: whoever writes is rarely done.
                    self.next_look = self.next_look.min(self.shared.clock.now() + SETTLE);
                    if let Some(watch) = &self.watch {
                        watch.heard();
                    }
                }
                Ok(Asked::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(asked) => self.answer(asked),
                Err(RecvTimeoutError::Timeout) => self.look(),
            }
            self.let_go();
        }
    }

    /// Frees retired sets that no request holds any more.
    fn let_go(&mut self) {
        self.retired.retain(|live| Arc::strong_count(live) > 1);
    }

    fn answer(&mut self, asked: Asked) {
        // Whoever asked may be gone: then nobody hears the answer, and what was asked for is done.
        match asked {
            Asked::Changed | Asked::Stop => {}
            Asked::Again => {
                self.complained.clear();
                let _ = self.read(&Asking::Signal);
            }
            Asked::Reload { confirm_shrink, by, reply } => {
                self.complained.clear();
                let _ = reply.send(self.read(&Asking::Person { confirm_shrink, by: &by }));
            }
            Asked::Rollback { to, by, reply } => {
                let _ = reply.send(self.roll_back(to, &by));
            }
            Asked::Overview(reply) => {
                let _ = reply.send(Overview {
                    policy: self.in_force(),
                    rolled_back: self.history.passed_over().is_some(),
                    kept: self.history.overview(),
                    error: self.error.as_ref().map(|refused| refused.message.clone()),
                });
            }
        }
    }

    /// Reads again where something changed.
    pub fn look(&mut self) {
        let now = self.shared.clock.now();
        self.next_look = now + LOOK_EVERY;
        let PolicyPlace::Directory(directory) = &self.place else { return };
        if let Some(watch) = &mut self.watch {
            watch.set(&self.look.directories(directory));
        }
        let look = self.look.again(directory);
        self.looks = self.looks.wrapping_add(1);
        let hash =
            self.contents.bytes() <= HASHED_EVERY_TIME_BYTES_MAX || self.looks.is_multiple_of(HASHED_EVERY);
        if look == self.look && (!hash || self.contents.still()) {
            self.unsettled = None;
            return;
        }
        if self.unsettled.as_ref() != Some(&look) && self.unsettled_looks < UNSETTLED_MAX {
            self.unsettled = Some(look);
            self.unsettled_looks += 1;
            self.next_look = now + SETTLE;
            return;
        }
        self.unsettled = None;
        self.unsettled_looks = 0;
        let _ = self.read(&Asking::Change);
    }

    /// Reads, and takes what is new and good.
    fn read(&mut self, asking: &Asking<'_>) -> Answer {
        let now = self.shared.clock.now();
        let PolicyPlace::Directory(directory) = &self.place else {
            tracing::info!("the shipped policies are in force: there is nothing to read again");
            let message = "the shipped policies are in force: there is nothing to read again\n\
                           help: `--policies DIR`, or a folder `./policies`, when the gateway starts";
            return Err(Refused { why: Why::Shipped, message: message.into() });
        };
        let mut read = match self.place.read() {
            Ok(read) => read,
            Err(error) => {
                let message = format!("{error}{}", causes(&error));
                return Err(self.failed(Refused { why: Why::Unreadable, message }, now));
            }
        };
        if read.look.again(directory) != read.look {
            // Written to meanwhile: not all of it may belong together.
            self.next_look = self.next_look.min(now + SETTLE);
            std::thread::sleep(SETTLE);
            read = self.place.read().unwrap_or(read);
        }
        if let Some(watch) = &mut self.watch {
            watch.set(&read.look.directories(directory));
        }
        self.look = read.look.clone();
        self.contents = read.contents.clone();
        self.disk = written_by_hand(&read.sources);
        let stays = matches!(asking, Asking::Change | Asking::Signal)
            && self.history.passed_over() == Some(self.disk)
            && read.sources.digest() != self.shared.live.load().policy.digest();
        if stays {
            if matches!(asking, Asking::Signal) {
                tracing::info!(
                    policy = %self.shared.live.load().policy.digest(),
                    "the files on disk stay passed over, as policies were rolled back: change them, or `signgate reload`"
                );
            }
            self.show(&read);
            return Ok(self.unchanged());
        }
        self.take(&read, asking, now)
    }

    fn take(&mut self, read: &Directory, asking: &Asking<'_>, now: Timestamp) -> Answer {
        let digest = read.sources.digest();
        if digest == self.shared.live.load().policy.digest() {
            if asking.is_told() || self.error.is_some() || self.history.passed_over().is_some() {
                tracing::info!(policy = %digest, "policies are unchanged");
                self.shared.metrics.reloaded(true, now);
            }
            self.history.agrees();
            self.show(read);
            return Ok(self.unchanged());
        }
        let feeds = Feeds::of(&read.sources);
        let shrunk = self.feeds.shrunk(&feeds);
        // Errors first: a feed that is rubbish has fewer entries, too.
        let (set, warnings) = match compile(&read.sources, now) {
            Ok(compiled) => (compiled.set, render(&compiled.warnings)),
            Err(diagnostics) => {
                let message = render(&diagnostics).trim_end().to_owned();
                return Err(self.failed(Refused { why: Why::Wrong, message }, now));
            }
        };
        if !shrunk.is_empty() && !asking.confirms_shrink() {
            let message = feeds::complaint(&shrunk, &self.place.name());
            return Err(self.failed(Refused { why: Why::Shrunk, message }, now));
        }
        let done = self.swap(set, &read.sources, feeds, warnings, now);
        self.history.taken(&read.sources, digest, now);
        self.show(read);
        tracing::info!(
            policy = %digest, generation = done.policy.generation, by = asking.by(),
            "new policies are in force: {}", in_short(&done.changes)
        );
        self.note("reload", digest, asking.by(), now);
        Ok(done)
    }

    fn roll_back(&mut self, to: Option<Digest>, by: &str) -> Answer {
        let now = self.shared.clock.now();
        let Some(kept) = self.history.earlier(to) else {
            let message = match to {
                Some(digest) => {
                    format!("no policy `{digest}` is kept\nhelp: `signgate rollback --list` tells which are")
                }
                None => "no earlier policy is kept: this is the first".into(),
            };
            return Err(Refused { why: Why::NotKept, message });
        };
        let (digest, sources) = (kept.digest, kept.sources(self.place.name()));
        if digest == self.shared.live.load().policy.digest() {
            return Ok(self.unchanged());
        }
        let (set, warnings) = match compile(&sources, now) {
            Ok(compiled) => (compiled.set, render(&compiled.warnings)),
            Err(diagnostics) => {
                let message = render(&diagnostics).trim_end().to_owned();
                return Err(Refused { why: Why::Wrong, message });
            }
        };
        // What is on the disk at this moment is what is passed over; a later change is taken.
        let read = self.place.read().unwrap_or_else(|_| Directory::unchanging(Sources::default()));
        if !read.sources.is_empty() {
            self.disk = written_by_hand(&read.sources);
            self.look = read.look.clone();
            self.contents = read.contents.clone();
        }
        let done = self.swap(set, &sources, Feeds::of(&sources), warnings, now);
        self.history.went_back(digest, self.disk, now);
        if written_by_hand(&sources) == self.disk {
            self.history.agrees();
        }
        self.show(&read);
        tracing::warn!(
            policy = %digest, generation = done.policy.generation, by,
            "policies were rolled back: the files on disk are passed over until they change or `signgate reload` asks \
             for them: {}", in_short(&done.changes)
        );
        self.note("rollback", digest, by, now);
        Ok(done)
    }

    /// Puts a set in force, in one step.
    fn swap(
        &mut self,
        set: PolicySet,
        sources: &Sources,
        feeds: Feeds,
        warnings: String,
        now: Timestamp,
    ) -> Done {
        let before = self.shared.live.load_full();
        // First of all: what is said of it takes its time with a large set.
        let live = Arc::new(Live::new(set, &self.shared.metrics, before.generation + 1));
        self.shared.live.store(Arc::clone(&live));
        self.shared.metrics.reloaded(true, now);
        let set = &live.policy;
        if !warnings.is_empty() {
            tracing::warn!("{}", warnings.trim_end());
        }
        let start_anew = counters_that_start_anew(&before.policy, set);
        for lost in &start_anew {
            tracing::warn!("{lost}");
        }
        // The history holds what is in force from the start on.
        let in_force = self.history.current().map(|kept| kept.sources(self.place.name())).unwrap_or_default();
        let changed = changes(Side { set: &before.policy, sources: &in_force }, Side { set, sources });
        self.feeds = feeds;
        self.since = now;
        let done = Done {
            policy: self.in_force(),
            before: before.policy.digest(),
            changes: changed,
            start_anew: bounded(start_anew),
            warnings,
        };
        // Freed here, once no request holds it any more, and never by the last request that does.
        self.retired.push(before);
        done
    }

    fn in_force(&self) -> InForce {
        let live = self.shared.live.load();
        InForce { digest: live.policy.digest(), generation: live.generation, since: self.since }
    }

    fn unchanged(&self) -> Done {
        let policy = self.in_force();
        Done {
            policy,
            before: policy.digest,
            changes: Vec::new(),
            start_anew: Vec::new(),
            warnings: String::new(),
        }
    }

    /// Tells what is in force: a set was taken, or found to be the one that is.
    fn show(&mut self, read: &Directory) {
        self.error = None;
        self.complained.clear();
        let rolled_back = self.history.passed_over().is_some();
        self.readiness.policy_in_force(self.in_force(), rolled_back);
        self.shared.metrics.rolled_back(rolled_back);
        let numbers = self.feeds.by_rule().map(|(rule, file, entries)| FeedNumbers {
            rule,
            entries,
            // What is in force is not what the disk holds.
            written: read.written.get(file).filter(|_| !rolled_back).copied(),
        });
        self.shared.metrics.feeds(numbers);
    }

    /// Leaves the set in force as it is, and says so: in the log once for each complaint.
    fn failed(&mut self, refused: Refused, now: Timestamp) -> Refused {
        if self.error.as_ref() != Some(&refused) {
            self.shared.metrics.reloaded(false, now);
            self.readiness.reload_failed(ReloadError { at: now, message: refused.message.clone() });
            self.error = Some(refused.clone());
        }
        // Last: who reads it in the log finds the rest in agreement.
        if self.complained.len() >= COMPLAINTS_MAX {
            self.complained.clear();
        }
        if self.complained.insert(*blake3::hash(refused.message.as_bytes()).as_bytes()) {
            tracing::error!(
                "the new policies are refused, the ones before stay in force:\n{}",
                refused.message
            );
        }
        refused
    }

    fn note(&self, event: &'static str, policy: Digest, by: &str, now: Timestamp) {
        self.record.event(&Event {
            time: now,
            seq: 0,
            event,
            policy: Some(policy),
            order: None,
            detail: Some(by),
        });
    }
}

/// Why the files are read.
enum Asking<'a> {
    /// They changed.
    Change,
    /// By SIGHUP.
    Signal,
    /// By a person, or a script of one.
    Person { confirm_shrink: bool, by: &'a str },
}

impl Asking<'_> {
    fn is_told(&self) -> bool {
        !matches!(self, Self::Change)
    }

    fn confirms_shrink(&self) -> bool {
        matches!(self, Self::Person { confirm_shrink: true, .. })
    }

    /// For the record.
    fn by(&self) -> &str {
        match self {
            Self::Change => "change of files",
            Self::Signal => "SIGHUP",
            Self::Person { by, .. } => by,
        }
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(String::new(), |text, cause| format!("{text}: {cause}"))
}
