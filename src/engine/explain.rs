//! Why a request would be decided as it would: every rule considered, with its numbers. Books nothing.
//!
//! The decision itself comes from the very steps that decide a live request; the checks beside it are evaluated one by
//! one, those of later rows too, which a live request does not get to. That both agree is a test.
//!
//! Read [`Explanation`], then [`Outcome`]. [`text`] prints it for a person, [`json`] for a program.

pub mod json;
pub mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::assess::{self, Who};
use super::book::{Charge, Look, Plan, Receipt};
use super::decision::{Caller, Decision, Matcher, Reason, Refusal, Shadow};
use super::facts::{Credential, Facts, TargetClaim};
use super::viewbot::sighting::Sighting;
use crate::base::operation::Operation;
use crate::base::subject::Scope;
use crate::base::time::Timestamp;
use crate::policy::PolicySet;
use crate::policy::counter::{Counter, Limit, Tiers};
use crate::policy::set::{Exemptions, Mode, Rule, RuleIndex, RuleKind, SessionMode, TierClass};
use crate::policy::viewbot::ViewbotMode;

/// What one policy set says of one request, with the counts of one engine.
#[derive(Debug)]
pub struct Explanation {
    /// What is asked for.
    pub operation: Operation,
    /// Who asks.
    pub caller: Caller,
    /// What the allowlists in force exempt it from.
    pub exempt: Exemptions,
    /// Every check, by the order of design 3, rules of one row by name.
    pub checks: Vec<Check>,
    /// What would be decided.
    pub decision: Decision,
}

/// One check, and what came of it.
#[derive(Debug)]
pub struct Check {
    /// Its row in the order of checks (design 3). Allowlists stand before the blocklists of row 2.
    pub row: u8,
    /// What is checked.
    pub what: What,
    /// Whether it acts; what is no rule always does.
    pub mode: Mode,
    /// What came of it.
    pub outcome: Outcome,
    /// How its counters stand; empty where it counts nothing, or does not apply.
    pub amounts: Vec<Amount>,
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A rule with a name.
    Rule(RuleIndex),
    /// The key.
    Key,
    /// The URL to be signed.
    Target,
    /// Session credentials.
    Session,
    /// What the operator bans by hand.
    OperatorBans,
    /// What view-bot detection has convicted.
    Convictions,
    /// View-bot detection: what it would say of this request.
    Viewbots,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It refuses the request, for at least one reason.
    Refuses(Vec<Reason>),
    /// It is in shadow, and would refuse the request if it were in force.
    WouldRefuse(Vec<Reason>),
    /// An allowlist that holds something of the request.
    Exempts(Vec<Matcher>),
    /// It has nothing against the request.
    Passes(Pass),
    /// It has nothing to do with the request.
    DoesNotApply(Skip),
}

/// Why a check has nothing against a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Nothing of the request is on the list.
    NotListed,
    /// There is room for one more.
    Room,
    /// No key was shown.
    NoKey,
    /// The key is known, valid, and used where it may be.
    KeyValid,
    /// The URL may be signed.
    TargetListed,
    /// No session came along.
    NoSession,
    /// One came along, and this happens to it.
    Session(SessionMode),
    /// No ban stands against it.
    NotBanned,
    /// Detection has nothing against it, or not enough.
    NotSuspect,
}

/// Why a check has nothing to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// Its mode is `off`.
    Off,
    /// An allowlist that holds nothing of the request.
    NotListed,
    /// It ended by itself.
    Expired(Timestamp),
    /// It is not for the caller's tier.
    Tier,
    /// It is not for this operation.
    Operation,
    /// The request has nothing of this kind to count by.
    NoSubject(Scope),
    /// This allowlist exempts the request.
    Exempt(RuleIndex),
    /// This allowlist would exempt the request, and is in shadow.
    AllowlistInShadow,
    /// The operation signs no URL of the caller's choice.
    NoTarget,
    /// The URL stands in the body, which has not been read.
    TargetInBody,
    /// It adds no viewer to a room.
    NoViewer,
    /// A ban or another rule stops the request first, in force or, a ban, in shadow; what is stopped is not weighed.
    StoppedBefore,
}

/// How much of one limit is used, before the request in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// The window as the operator wrote it, `burst`, or `at a time`.
    pub name: Arc<str>,
    /// Of what different ones are counted.
    pub different: Option<Scope>,
    /// The limit.
    pub max: u32,
    /// How much of it is used; it may be more than `max` where the limit was lowered.
    pub used: u32,
    /// Until it is whole again; `None` where nothing is used, or where nobody knows.
    pub resets: Option<Duration>,
    /// Whether the count is that of a whole neighbourhood, folded into one at the cap.
    pub shared: bool,
}

impl Explanation {
    /// The tier's class: `none` is a request without a key.
    pub fn class(&self, policy: &PolicySet) -> TierClass {
        policy.tier(self.caller.tier).class
    }
}

impl Engine {
    /// Explains what [`assess`](Self::assess), [`charge`](Self::charge) and [`conclude`](Self::conclude) would decide now. Quotas
    /// are not booked. What detection counts of the request is counted and taken back, as of one that gets no good answer:
    /// the engine of a replay can be asked so, one that serves should not.
    pub fn explain(&self, policy: &PolicySet, facts: &Facts<'_>, now: Timestamp) -> Explanation {
        let mut assessment = self.assess(policy, facts, now);
        let charge = match assessment.refusal.take() {
            Some(refusal) => Charge::Refused { refusal, shadow: Shadow::Same },
            None => self.book().look(policy, &assessment.plan, now).0,
        };
        let facts = &assess::resolved(self.viewbot(), facts, now);
        let who = assess::identify(policy, facts);
        let listed = Listed::of(policy, facts, &who, now);
        let mut checks = listed.checks(policy, now);
        checks.extend([
            key_check(facts, &who, now),
            target_check(policy, facts),
            session_check(policy, facts),
        ]);
        // Before it is weighed: that is how the room stood.
        let mut detection = self.detection_checks(policy, facts, &who, &listed, now);
        let mut receipt = Receipt::default();
        let is_weighed = matches!(charge, Charge::Booked { .. }) && assessment.sighting.is_some();
        let decision = self.conclude(policy, &mut assessment, charge, &mut receipt, now);
        if let Some(counted) = &receipt.counted {
            self.viewbot().settle(policy.viewbot(), counted, false, now);
        }
        let of_request = &mut detection[1].outcome;
        if *of_request == Outcome::Passes(Pass::NotSuspect) {
            if !is_weighed {
                *of_request = Outcome::DoesNotApply(Skip::StoppedBefore);
            } else if let Some(against) = against_viewbot(&decision) {
                *of_request = against;
            }
        }
        checks.push(self.operator_check(policy, facts, &who, &listed, now));
        checks.extend(detection);

        // Also for a request that an earlier row refuses.
        let mut plan = Plan::default();
        assess::plan(&mut plan, policy, facts, &who, facts.operation, |_| true);
        let looks = self.book().look(policy, &plan, now).1;
        for (place, rule) in rules(policy) {
            checks.extend(counted_check(policy, facts, &who, &listed, place, rule, &looks));
        }
        Explanation {
            operation: facts.operation,
            caller: Caller { identity: assess::identity(policy, facts, &who), ..decision.caller.clone() },
            exempt: listed.exempt,
            checks,
            decision,
        }
    }

    /// What the operator bans by hand, of row 5.
    fn operator_check(
        &self,
        policy: &PolicySet,
        facts: &Facts<'_>,
        who: &Who<'_>,
        listed: &Listed,
        now: Timestamp,
    ) -> Check {
        let mut reasons = Vec::new();
        assess::for_each_ban(policy, self.operator_bans(), facts, who, now, |reason| reasons.push(reason));
        let outcome = match listed.from_blocklists {
            Some(exempting) => Outcome::DoesNotApply(Skip::Exempt(exempting)),
            None if reasons.is_empty() => Outcome::Passes(Pass::NotBanned),
            None => Outcome::Refuses(reasons),
        };
        fixed(5, What::OperatorBans, outcome)
    }

    /// What was convicted, of row 5, and row 6 as the room stands before the request is weighed.
    fn detection_checks(
        &self,
        policy: &PolicySet,
        facts: &Facts<'_>,
        who: &Who<'_>,
        listed: &Listed,
        now: Timestamp,
    ) -> [Check; 2] {
        let settings = policy.viewbot();
        let mode = shown(settings.mode);
        let check = |row, what, outcome, amounts| Check { mode, amounts, ..fixed(row, what, outcome) };
        let sighting = match detected(policy, facts, who, listed) {
            Ok(sighting) => sighting,
            Err(skip) => {
                return [(5, What::Convictions), (6, What::Viewbots)]
                    .map(|(row, what)| check(row, what, Outcome::DoesNotApply(skip.clone()), Vec::new()));
            }
        };
        let convicted = match assess::banned_by(self.viewbot(), &sighting, settings.mode, now) {
            None => Outcome::Passes(Pass::NotBanned),
            Some((ban, ViewbotMode::Throttle)) => Outcome::Refuses(vec![assess::throttled(&ban, now)]),
            Some((ban, ViewbotMode::Enforce)) => Outcome::Refuses(vec![Reason::Banned(ban)]),
            Some((ban, _)) => Outcome::WouldRefuse(vec![Reason::Banned(ban)]),
        };
        #[expect(clippy::cast_sign_loss, reason = "a sum is not negative")]
        let used = self.viewbot().excess(&sighting, settings, now).ceil() as u32;
        let (max, name) = (settings.gate.burst, "viewers in excess".into());
        let excess = Amount { name, different: None, max, used, resets: None, shared: false };
        [
            check(5, What::Convictions, convicted, Vec::new()),
            check(6, What::Viewbots, Outcome::Passes(Pass::NotSuspect), vec![excess]),
        ]
    }
}

/// What detection looks at of a request, whatever else is to be said of it; or why it looks at nothing.
fn detected(policy: &PolicySet, facts: &Facts<'_>, who: &Who<'_>, listed: &Listed) -> Result<Sighting, Skip> {
    if policy.viewbot().mode == ViewbotMode::Off {
        return Err(Skip::Off);
    }
    if let Some(exempting) = listed.from_viewbot {
        return Err(Skip::Exempt(exempting));
    }
    Sighting::of(policy, facts, who, facts.resolved).ok_or(Skip::NoViewer)
}

/// A rule's word for what detection does.
const fn shown(mode: ViewbotMode) -> Mode {
    match mode {
        ViewbotMode::Off => Mode::Off,
        ViewbotMode::Shadow => Mode::Shadow,
        ViewbotMode::Throttle | ViewbotMode::Enforce => Mode::Enforce,
    }
}

/// What detection has against a request that was weighed.
fn against_viewbot(decision: &Decision) -> Option<Outcome> {
    let found = |refusal: Option<&Refusal>| {
        let mut reasons = refusal.into_iter().flat_map(Refusal::reasons);
        reasons.find(|reason| matches!(reason, Reason::Viewbot(_))).cloned()
    };
    let enforced = found(decision.refusal.as_ref()).map(|reason| Outcome::Refuses(vec![reason]));
    enforced.or_else(|| found(decision.shadow.refusal()).map(|reason| Outcome::WouldRefuse(vec![reason])))
}

fn rules(policy: &PolicySet) -> impl Iterator<Item = (RuleIndex, &Rule)> {
    (0u16..).map(RuleIndex).zip(policy.rules())
}

/// Which lists hold something of the request.
struct Listed {
    allowed: Vec<(RuleIndex, Matcher)>,
    blocked: Vec<(RuleIndex, Matcher)>,
    exempt: Exemptions,
    from_blocklists: Option<RuleIndex>,
    from_quotas: Option<RuleIndex>,
    from_viewbot: Option<RuleIndex>,
}

impl Listed {
    fn of(policy: &PolicySet, facts: &Facts<'_>, who: &Who<'_>, now: Timestamp) -> Self {
        let (mut allowed, mut blocked) = (Vec::new(), Vec::new());
        assess::for_each_match(policy, policy.allowlists(), facts, who, |rule, by| allowed.push((rule, by)));
        assess::for_each_match(policy, policy.blocklists(), facts, who, |rule, by| blocked.push((rule, by)));
        let exempting = |from: fn(&Exemptions) -> bool| {
            let in_force = allowed.iter().map(|(place, _)| *place).filter(|place| {
                let rule = policy.rule(*place);
                match &rule.kind {
                    RuleKind::Allowlist { exempt, expires } => {
                        from(exempt) && rule.mode == Mode::Enforce && expires.is_none_or(|at| at > now)
                    }
                    _ => false,
                }
            });
            in_force.min()
        };
        let from_blocklists = exempting(|exempt| exempt.blocklist);
        let from_quotas = exempting(|exempt| exempt.quota);
        let from_viewbot = exempting(|exempt| exempt.viewbot);
        let (exempt, _) = assess::exemptions(policy, facts, who, now);
        Self { allowed, blocked, exempt, from_blocklists, from_quotas, from_viewbot }
    }

    /// Allowlists first: what they exempt from is not asked.
    fn checks(&self, policy: &PolicySet, now: Timestamp) -> Vec<Check> {
        let mut checks = Vec::new();
        for allow in [true, false] {
            for (place, rule) in rules(policy) {
                let (expires, is_allow) = match &rule.kind {
                    RuleKind::Allowlist { expires, .. } => (*expires, true),
                    RuleKind::Blocklist { expires, .. } => (*expires, false),
                    _ => continue,
                };
                if is_allow != allow {
                    continue;
                }
                let found = if allow { &self.allowed } else { &self.blocked };
                let by: Vec<Matcher> =
                    found.iter().filter(|(rule, _)| *rule == place).map(|(_, by)| *by).collect();
                let outcome = match (rule.mode, expires) {
                    (Mode::Off, _) => Outcome::DoesNotApply(Skip::Off),
                    (_, Some(at)) if at <= now => Outcome::DoesNotApply(Skip::Expired(at)),
                    _ if by.is_empty() && allow => Outcome::DoesNotApply(Skip::NotListed),
                    _ if by.is_empty() => Outcome::Passes(Pass::NotListed),
                    (Mode::Enforce, _) if allow => Outcome::Exempts(by),
                    _ if allow => Outcome::DoesNotApply(Skip::AllowlistInShadow),
                    (mode, _) => match self.from_blocklists {
                        Some(exempting) => Outcome::DoesNotApply(Skip::Exempt(exempting)),
                        None => against(
                            mode,
                            by.into_iter().map(|by| Reason::Blocked { rule: place, by }).collect(),
                        ),
                    },
                };
                checks.push(Check {
                    row: 2,
                    what: What::Rule(place),
                    mode: rule.mode,
                    outcome,
                    amounts: Vec::new(),
                });
            }
        }
        checks
    }
}

fn against(mode: Mode, reasons: Vec<Reason>) -> Outcome {
    match mode {
        Mode::Enforce => Outcome::Refuses(reasons),
        Mode::Shadow | Mode::Off => Outcome::WouldRefuse(reasons),
    }
}

fn fixed(row: u8, what: What, outcome: Outcome) -> Check {
    Check { row, what, mode: Mode::Enforce, outcome, amounts: Vec::new() }
}

fn key_check(facts: &Facts<'_>, who: &Who<'_>, now: Timestamp) -> Check {
    let outcome = match (assess::key_reason(facts, who, now), facts.credential) {
        (Some(reason), _) => Outcome::Refuses(vec![reason]),
        (None, Credential::Absent) => Outcome::Passes(Pass::NoKey),
        (None, _) => Outcome::Passes(Pass::KeyValid),
    };
    fixed(3, What::Key, outcome)
}

fn target_check(policy: &PolicySet, facts: &Facts<'_>) -> Check {
    let outcome = match facts.target {
        TargetClaim::None => Outcome::DoesNotApply(Skip::NoTarget),
        TargetClaim::InBody => Outcome::DoesNotApply(Skip::TargetInBody),
        TargetClaim::Url { host, path } => {
            if policy.targets().iter().any(|target| target.allows(host, path)) {
                Outcome::Passes(Pass::TargetListed)
            } else {
                Outcome::Refuses(vec![Reason::TargetNotListed])
            }
        }
    };
    fixed(4, What::Target, outcome)
}

fn session_check(policy: &PolicySet, facts: &Facts<'_>) -> Check {
    let outcome = match (facts.session, policy.sessions()) {
        (None, _) => Outcome::Passes(Pass::NoSession),
        (Some(_), SessionMode::Refuse) => Outcome::Refuses(vec![Reason::SessionRefused]),
        (Some(_), mode) => Outcome::Passes(Pass::Session(mode)),
    };
    fixed(4, What::Session, outcome)
}

/// A rule that counts; `None` where the rule is a list.
fn counted_check(
    policy: &PolicySet,
    facts: &Facts<'_>,
    who: &Who<'_>,
    listed: &Listed,
    place: RuleIndex,
    rule: &Rule,
    looks: &[Look],
) -> Option<Check> {
    let counters = match &rule.kind {
        RuleKind::Quota { counters }
        | RuleKind::Distinct { counters }
        | RuleKind::Rate { counters }
        | RuleKind::Concurrency { counters } => counters.clone(),
        RuleKind::Blocklist { .. } | RuleKind::Allowlist { .. } => return None,
    };
    let first = policy.counter(counters.start);
    let mut amounts = Vec::new();
    let mut reasons = Vec::new();
    for look in looks.iter().filter(|look| counters.contains(&look.counter)) {
        amounts.extend(amounts_of(policy.counter(look.counter), look));
        reasons.extend(look.reason.clone());
    }
    let skip = if rule.mode == Mode::Off {
        Some(Skip::Off)
    } else if !first.tiers.contains(who.tier) {
        Some(Skip::Tier)
    } else if !first.operations.contains(facts.operation) {
        Some(Skip::Operation)
    } else if let Some(scope) = lacking(first, facts, who) {
        Some(Skip::NoSubject(scope))
    } else {
        listed.from_quotas.map(Skip::Exempt)
    };
    let outcome = match skip {
        Some(skip) => Outcome::DoesNotApply(skip),
        None if reasons.is_empty() => Outcome::Passes(Pass::Room),
        None => against(rule.mode, reasons),
    };
    Some(Check { row: 7, what: What::Rule(place), mode: rule.mode, outcome, amounts })
}

/// What the request lacks that the counter counts by.
fn lacking(counter: &Counter, facts: &Facts<'_>, who: &Who<'_>) -> Option<Scope> {
    let count = match &counter.limit {
        Limit::Distinct { count, .. } => Some(*count),
        Limit::Windows(_) | Limit::Rate { .. } | Limit::Concurrency { .. } => None,
    };
    let mut scopes = std::iter::once(counter.scopes.first).chain(counter.scopes.second).chain(count);
    scopes.find(|scope| assess::subject_of(*scope, facts, who, facts.resolved).is_none())
}

fn amounts_of(counter: &Counter, look: &Look) -> Vec<Amount> {
    let limits: Vec<(Arc<str>, u32)> = match &counter.limit {
        Limit::Windows(windows) | Limit::Distinct { windows, .. } => {
            windows.iter().map(|window| (window.name.clone(), window.max)).collect()
        }
        Limit::Rate { rate, burst, .. } => vec![(format!("burst of {rate}").into(), *burst)],
        Limit::Concurrency { max, .. } => vec![("at a time".into(), *max)],
    };
    let different = match counter.limit {
        Limit::Distinct { count, .. } => Some(count),
        _ => None,
    };
    let mut amounts = Vec::new();
    for ((name, max), (used, resets)) in limits.into_iter().zip(&look.used) {
        amounts.push(Amount { name, different, max, used: *used, resets: *resets, shared: look.shared });
    }
    amounts
}

/// The names of the tiers that a rule is for; `None` for all.
pub(crate) fn tiers_of<'p>(policy: &'p PolicySet, rule: &Rule) -> Option<Vec<&'p str>> {
    let (RuleKind::Quota { counters }
    | RuleKind::Distinct { counters }
    | RuleKind::Rate { counters }
    | RuleKind::Concurrency { counters }) = &rule.kind
    else {
        return None;
    };
    match &policy.counter(counters.start).tiers {
        Tiers::All => None,
        Tiers::Some(tiers) => Some(tiers.iter().map(|tier| policy.tier(*tier).name.as_str()).collect()),
    }
}
