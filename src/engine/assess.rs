//! What every rule that counts nothing says of a request, and what it would be charged to. Reads; writes nothing.
//!
//! The rows of the order of checks (design 3) are evaluated from the top: the first that refuses answers. Shadow rules
//! are found beside the enforced ones, as if they were in force.

use crate::base::id::{AccountId, KeyId};
use crate::base::net::Prefix;
use crate::base::operation::Operation;
use crate::base::subject::{Scope, Scopes, Subject};
use crate::base::time::Timestamp;
use crate::policy::PolicySet;
use crate::policy::counter::Limit;
use crate::policy::lists::Lists;
use crate::policy::set::{AccountIndex, Exemptions, Key, Mode, RuleIndex, RuleKind, TierClass, TierIndex};

use super::Engine;
use super::book::Plan;
use super::decision::{Caller, Matcher, Reason, Refusal, Shadow};
use super::facts::{Credential, Facts, TargetClaim};
use super::operator::{Asking, OperatorBans};
use super::viewbot::bans::Ban;
use super::viewbot::evidence::Evidence;
use super::viewbot::foresight::Foreseen;
use super::viewbot::sighting::Sighting;
use super::viewbot::{Against, Rung, Viewbot};
use crate::base::room::Room;
use crate::policy::viewbot::ViewbotMode;
use std::sync::Arc;

/// What was found, before anything is charged. Of nothing at first.
#[derive(Debug, Default)]
pub struct Assessment {
    /// Who asks.
    pub caller: Caller,
    /// What the enforced rules refuse.
    pub refusal: Option<Refusal>,
    /// What they would say with every shadow rule enforced.
    pub shadow: Shadow,
    /// Whether an allowlist in shadow mode would exempt it from the quotas of `plan`.
    pub shadow_exempts: bool,
    /// What the request would be charged to; empty where it is refused.
    pub plan: Plan,
    /// The room in its one form.
    pub room: Option<Room>,
    /// The room as the request named it.
    pub(super) named: Option<Room>,
    /// What view-bot detection is to count and to weigh; `None` where it is off, exempt, refused already, or no viewer.
    pub(super) sighting: Option<Sighting>,
    /// Where that will be looked up, if anybody has looked ahead.
    pub(super) foreseen: Option<Foreseen>,
    /// The ban that stands against it, and the mode that it counts under: in the book of the mode, or promoted by the operator.
    pub(super) banned: Option<(Arc<Ban>, ViewbotMode)>,
    /// Whether an allowlist in shadow mode would exempt it from view-bot detection.
    pub(super) shadow_exempts_viewbot: bool,
}

#[cfg(test)]
impl Assessment {
    /// The same as if nobody had looked ahead.
    pub(super) fn unforeseen(&mut self) -> &Self {
        self.foreseen = None;
        self.plan.forget();
        self
    }
}

/// Assesses a request against everything that counts nothing: lists, key, target, session, and the bans of an engine, where one is given.
/// The facts with the room [resolved], and [who](identify) they say it is; `look_ahead` is shown what view-bot detection will weigh.
/// Writes what is found over `assessment`, whatever that held: it is long, and moving it costs as much as a part of the work.
pub(super) fn assess(
    assessment: &mut Assessment,
    bans: Option<&Engine>,
    policy: &PolicySet,
    facts: &Facts<'_>,
    who: &Who<'_>,
    look_ahead: impl FnOnce(&Sighting) -> Option<Foreseen>,
    now: Timestamp,
) {
    let room = facts.resolved;
    let (exempt, shadow_exempt) = exemptions(policy, facts, who, now);
    let mut findings = Findings::default();
    if !exempt.blocklist {
        for_each_match(policy, policy.blocklists(), facts, who, |rule, by| {
            let live = match &policy.rule(rule).kind {
                RuleKind::Blocklist { expires, .. } => expires.is_none_or(|at| at > now),
                _ => false,
            };
            if live {
                let enforced = policy.rule(rule).mode == Mode::Enforce;
                findings.add(Reason::Blocked { rule, by }, enforced, !shadow_exempt.blocklist);
            }
        });
    }
    if let Some(reason) = key_reason(facts, who, now) {
        findings.add(reason, true, true);
    }
    if let TargetClaim::Url { host, path } = facts.target
        && !policy.targets().iter().any(|target| target.allows(host, path))
    {
        findings.add(Reason::TargetNotListed, true, true);
    }
    if facts.session.is_some() && policy.sessions() == crate::policy::set::SessionMode::Refuse {
        findings.add(Reason::SessionRefused, true, true);
    }
    // Row 5: what the operator bans by hand, and what was convicted. What exempts from blocklists exempts from the former.
    if let Some(engine) = bans.filter(|_| !exempt.blocklist) {
        for_each_ban(policy, &engine.operator_bans, facts, who, now, |reason| {
            findings.add(reason, true, !shadow_exempt.blocklist);
        });
    }
    let mode = policy.viewbot().mode;
    let Assessment { sighting, foreseen, banned, .. } = assessment;
    (*sighting, *foreseen, *banned) = (None, None, None);
    if mode != ViewbotMode::Off && !exempt.viewbot && findings.enforced.is_none() {
        *sighting = Sighting::of(policy, facts, who, room);
        *foreseen = sighting.as_ref().and_then(look_ahead);
        *banned = sighting
            .as_ref()
            .zip(bans)
            .and_then(|(sighting, engine)| banned_by(&engine.viewbot, sighting, mode, now));
        if let Some((ban, mode)) = &banned {
            let mode = *mode;
            *sighting = None;
            let denied = Reason::Banned(Arc::clone(ban));
            if mode == ViewbotMode::Throttle {
                findings.add(throttled(ban, now), true, false);
            }
            findings.add(denied.clone(), mode == ViewbotMode::Enforce, !shadow_exempt.viewbot);
        }
    }
    assessment.plan.clear();
    if findings.enforced.is_none() && !exempt.quota {
        // With the shadow rules in force a request that they refuse would be charged to nothing.
        let shadow = findings.with_shadow.is_none() && !shadow_exempt.quota;
        let charges = |mode| shadow || mode != Mode::Shadow;
        plan(&mut assessment.plan, policy, facts, who, facts.operation, charges);
    }
    assessment.caller = Caller {
        tier: who.tier,
        // Whoever decides a record has it before them, and need not be given a copy of its names.
        identity: if let Credential::Recorded { .. } = facts.credential {
            None
        } else {
            identity(policy, facts, who)
        },
    };
    assessment.shadow = match findings.with_shadow {
        same if same == findings.enforced => Shadow::Same,
        Some(refusal) => Shadow::Refuses(refusal),
        // What its quotas would have said is not known: it is charged to none.
        None => Shadow::Admits,
    };
    assessment.refusal = findings.enforced;
    (assessment.room, assessment.named) = (room, facts.room);
    assessment.shadow_exempts = shadow_exempt.quota && !assessment.plan.is_empty();
    assessment.shadow_exempts_viewbot = shadow_exempt.viewbot;
}

/// Whether no ban stands against a request that was assessed without bans: then that is what there is to say of it.
pub(super) fn is_free(engine: &Engine, policy: &PolicySet, assessment: &Assessment, now: Timestamp) -> bool {
    let (viewbot, mode) = (&engine.viewbot, policy.viewbot().mode);
    let is_banned = |sighting: &Sighting| banned_by(viewbot, sighting, mode, now).is_some();
    engine.operator_bans.is_empty() && !assessment.sighting.as_ref().is_some_and(is_banned)
}

/// Visits every ban of the operator that stands against a request.
pub(super) fn for_each_ban(
    policy: &PolicySet,
    operator_bans: &OperatorBans,
    facts: &Facts<'_>,
    who: &Who<'_>,
    now: Timestamp,
    mut visit: impl FnMut(Reason),
) {
    if operator_bans.is_empty() {
        return;
    }
    let identity = identity(policy, facts, who);
    let (account, key) = identity.as_ref().map(|(account, key)| (account.as_str(), key.as_str())).unzip();
    let rooms = [facts.room, facts.resolved];
    let asking = Asking { client: facts.client, asn: facts.asn, account, key, rooms };
    operator_bans.each(&asking, now, |ban| visit(Reason::BannedByOperator(Arc::clone(ban))));
}

/// The ban that stands against a viewer because of what was convicted, and the mode that it counts under.
pub(super) fn banned_by(
    viewbot: &Viewbot,
    sighting: &Sighting,
    mode: ViewbotMode,
    now: Timestamp,
) -> Option<(Arc<Ban>, ViewbotMode)> {
    let promoted = viewbot.promoted(sighting, now).map(|ban| (ban, ViewbotMode::Enforce));
    promoted.or_else(|| viewbot.standing(sighting, mode, now).map(|ban| (ban, mode)))
}

/// The facts with the room resolved: by the record, else by what good answers have taught.
pub(super) fn resolved<'r>(viewbot: &Viewbot, facts: &Facts<'r>, now: Timestamp) -> Facts<'r> {
    let taught = || facts.room.map(|room| viewbot.canonical(room, now));
    Facts { resolved: facts.resolved.or_else(taught), ..*facts }
}

/// What a ban is where nobody is denied.
pub(super) fn throttled(ban: &Ban, now: Timestamp) -> Reason {
    let evidence: Arc<Evidence> = Arc::clone(&ban.evidence);
    Reason::Viewbot(Against { wait: Some(ban.until.since(now)), rung: Rung::Banned, evidence })
}

/// What the caller's quotas are, for the limits answer: those that a connect would be charged to.
pub fn quotas_of(policy: &PolicySet, viewbot: &Viewbot, facts: &Facts<'_>, now: Timestamp) -> Plan {
    let facts = &resolved(viewbot, facts, now);
    let who = identify(policy, facts);
    if exemptions(policy, facts, &who, now).0.quota {
        return Plan::default();
    }
    let mut quotas = Plan::default();
    plan(&mut quotas, policy, facts, &who, Operation::Connect, |_| true);
    quotas
}

/// Who asks, as far as the policy knows.
#[derive(Debug)]
pub(super) struct Who<'p> {
    pub(super) tier: TierIndex,
    key: Option<&'p Key>,
    account: Option<AccountIndex>,
    account_subject: Option<Subject>,
    key_subject: Option<Subject>,
}

impl Who<'_> {
    /// What the account is counted under, where a key was shown.
    pub(super) fn account_subject(&self) -> Option<Subject> {
        self.account_subject
    }

    /// What the key is counted under, where one was shown.
    pub(super) fn key_subject(&self) -> Option<Subject> {
        self.key_subject
    }
}

pub(super) fn identify<'p>(policy: &'p PolicySet, facts: &Facts<'_>) -> Who<'p> {
    let nobody =
        Who { tier: policy.anonymous(), key: None, account: None, account_subject: None, key_subject: None };
    match facts.credential {
        Credential::Absent | Credential::Unchecked(_) | Credential::Unknown => nobody,
        Credential::Presented(hash) => match policy.key(&hash) {
            None => nobody,
            Some(key) => {
                let account = policy.account(key.account);
                Who {
                    tier: account.tier,
                    key: Some(key),
                    account: Some(key.account),
                    account_subject: Some(account.subject),
                    key_subject: Some(key.subject),
                }
            }
        },
        Credential::Recorded { id, account, tier, subjects } => recorded(policy, id, account, tier, subjects),
    }
}

/// What this policy says of a recorded key and account decides, as it would for a live request: lists that name them, a
/// key that is switched off or bound, the tier that the account has now. Of what it lacks the record is believed: it was
/// there when it was recorded.
fn recorded<'p>(
    policy: &'p PolicySet,
    id: &str,
    account: &str,
    tier: &str,
    subjects: Option<(Subject, Subject)>,
) -> Who<'p> {
    let (account_subject, key_subject) = subjects.unzip();
    let key = policy.key_named(id);
    let known = key.map(|key| key.account).or_else(|| policy.account_named(account));
    Who {
        tier: match known {
            Some(known) => policy.account(known).tier,
            // A tier that the policy lacks counts as a free one (design 9).
            None => policy.tier_named(tier).unwrap_or_else(|| free_tier(policy)),
        },
        key,
        account: known,
        account_subject: Some(match known {
            Some(known) => policy.account(known).subject,
            None => account_subject.unwrap_or_else(|| Subject::text(Scope::Account, account)),
        }),
        key_subject: Some(match key {
            Some(key) => key.subject,
            None => key_subject.unwrap_or_else(|| Subject::text(Scope::Key, id)),
        }),
    }
}

/// The account and the key that were shown, where both have names that a policy could give.
pub(super) fn identity(policy: &PolicySet, facts: &Facts<'_>, who: &Who<'_>) -> Option<(AccountId, KeyId)> {
    match (facts.credential, who.key) {
        (Credential::Recorded { id, account, .. }, _) => AccountId::new(account).zip(KeyId::new(id)),
        (_, Some(key)) => Some((policy.account(key.account).id.clone(), key.id.clone())),
        _ => None,
    }
}

fn free_tier(policy: &PolicySet) -> TierIndex {
    let place = policy.tiers().iter().position(|tier| tier.class == TierClass::Free);
    place.map_or(policy.anonymous(), |place| TierIndex(place as u16))
}

/// What is wrong with the key, if anything is.
pub(super) fn key_reason(facts: &Facts<'_>, who: &Who<'_>, now: Timestamp) -> Option<Reason> {
    match (facts.credential, who.key) {
        (Credential::Unchecked(wait), _) => {
            Some(Reason::KeyAttempts { wait: std::time::Duration::from_secs(wait.secs()) })
        }
        (Credential::Presented(_) | Credential::Unknown, None) => Some(Reason::KeyUnknown),
        (_, None) => None,
        (_, Some(key)) if key.disabled => Some(Reason::KeyDisabled),
        (_, Some(key)) => match key.expires() {
            Some(at) if at <= now => Some(Reason::KeyExpired { at }),
            _ if !key.allows_address(facts.client) => Some(Reason::KeyProxy),
            _ if !(key.allows_room(facts.room.as_ref()) || key.allows_room(facts.resolved.as_ref())) => {
                Some(Reason::KeyRoom)
            }
            _ => None,
        },
    }
}

/// Everything that the allowlists in force exempt this request from; and the same with those in shadow mode.
pub(super) fn exemptions(
    policy: &PolicySet,
    facts: &Facts<'_>,
    who: &Who<'_>,
    now: Timestamp,
) -> (Exemptions, Exemptions) {
    let (mut enforced, mut all) = (Exemptions::default(), Exemptions::default());
    for_each_match(policy, policy.allowlists(), facts, who, |rule, _| {
        let rule = policy.rule(rule);
        if let RuleKind::Allowlist { exempt, expires } = &rule.kind
            && expires.is_none_or(|at| at > now)
        {
            all = all.or(*exempt);
            if rule.mode == Mode::Enforce {
                enforced = enforced.or(*exempt);
            }
        }
    });
    (enforced, all)
}

/// Visits every rule of `lists` that holds something of the request.
pub(super) fn for_each_match(
    policy: &PolicySet,
    lists: &Lists,
    facts: &Facts<'_>,
    who: &Who<'_>,
    mut visit: impl FnMut(RuleIndex, Matcher),
) {
    if lists.is_empty() {
        return;
    }
    let mut each = |rule: RuleIndex, by: Matcher| {
        if policy.rule(rule).mode != Mode::Off {
            visit(rule, by);
        }
    };
    lists.of_address(facts.client).iter().for_each(|rule| each(*rule, Matcher::Address));
    facts.asn.map_or(&[][..], |asn| lists.of_asn(asn)).iter().for_each(|rule| each(*rule, Matcher::Asn));
    lists.of_user_agent(facts.user_agent).for_each(|rule| each(rule, Matcher::UserAgent));
    lists.of_library(facts.library).for_each(|rule| each(rule, Matcher::Library));
    // By either name: whoever is listed by one is not let go, or refused, for being asked for by the other.
    let of_room = |room: Option<Room>| room.map_or(&[][..], |room| lists.of_room(&room));
    let (named, resolved) = (of_room(facts.room), of_room(facts.resolved));
    for rule in named {
        each(*rule, Matcher::Room);
    }
    resolved.iter().filter(|rule| !named.contains(rule)).for_each(|rule| each(*rule, Matcher::Room));
    who.account
        .map_or(&[][..], |account| lists.of_account(account))
        .iter()
        .for_each(|rule| each(*rule, Matcher::Account));
    who.key.map_or(&[][..], |key| lists.of_key(&key.id)).iter().for_each(|rule| each(*rule, Matcher::Key));
}

/// The counters that apply, each with what it counts; one whose scope the request has no subject for does not apply.
/// Put to an empty plan. The facts with the room [resolved].
pub(super) fn plan(
    plan: &mut Plan,
    policy: &PolicySet,
    facts: &Facts<'_>,
    who: &Who<'_>,
    operation: Operation,
    charges: impl Fn(Mode) -> bool,
) {
    let room = facts.resolved;
    // Counters of one scope stand together: an address is looked at once for all of its quotas.
    let mut last: Option<(Scopes, Option<Subject>)> = None;
    for place in policy.applicable(who.tier, operation) {
        let counter = policy.counter(*place);
        if !charges(counter.mode) {
            continue;
        }
        let subject = match last {
            Some((scopes, subject)) if scopes == counter.scopes => subject,
            _ => subject_of_all(counter.scopes, facts, who, room),
        };
        last = Some((counter.scopes, subject));
        let counted = match &counter.limit {
            Limit::Distinct { count, .. } => subject_of(*count, facts, who, room),
            Limit::Windows(_) | Limit::Rate { .. } | Limit::Concurrency { .. } => Some(Subject::TOTAL),
        };
        if let (Some(subject), Some(counted)) = (subject, counted) {
            plan.add(*place, subject, counted);
        }
    }
}

fn subject_of_all(scopes: Scopes, facts: &Facts<'_>, who: &Who<'_>, room: Option<Room>) -> Option<Subject> {
    let first = subject_of(scopes.first, facts, who, room)?;
    match scopes.second {
        None => Some(first),
        Some(second) => Some(Subject::pair(first, subject_of(second, facts, who, room)?)),
    }
}

/// What a request counts as in a scope. `room` is the room in its one form.
pub(super) fn subject_of(
    scope: Scope,
    facts: &Facts<'_>,
    who: &Who<'_>,
    room: Option<Room>,
) -> Option<Subject> {
    match scope {
        Scope::Account => who.account_subject,
        Scope::Key => who.key_subject,
        Scope::Proxy => Some(Subject::prefix(Prefix::proxy(facts.client))),
        Scope::Subnet => Some(Subject::prefix(Prefix::subnet(facts.client))),
        Scope::Asn => facts.asn.map(|asn| Subject::number(asn.into())),
        Scope::Room => room.as_ref().map(Subject::room),
        Scope::Library => Some(Subject::number(facts.library.name as u64)),
        Scope::Total => Some(Subject::TOTAL),
    }
}

/// The findings of the lowest row so far: of the enforced rules, and of all together.
#[derive(Default)]
struct Findings {
    enforced: Option<Refusal>,
    with_shadow: Option<Refusal>,
}

impl Findings {
    fn add(&mut self, reason: Reason, enforced: bool, with_shadow: bool) {
        if enforced {
            Self::add_to(&mut self.enforced, reason.clone());
        }
        if with_shadow {
            Self::add_to(&mut self.with_shadow, reason);
        }
    }

    fn add_to(found: &mut Option<Refusal>, reason: Reason) {
        match found {
            Some(refusal) if refusal.first().row() < reason.row() => {}
            Some(refusal) if refusal.first().row() == reason.row() => refusal.add(reason),
            _ => *found = Some(Refusal::new(reason)),
        }
    }
}
