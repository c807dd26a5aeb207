//! An explanation as a person reads it: a tree with one line for each check, by the order of design 3.

use std::fmt;

use super::{Amount, Check, Explanation, Outcome, Pass, Skip, What, tiers_of};
use crate::base::time::Wait;
use crate::engine::decision::{Matcher, Reason, Shadow};
use crate::policy::PolicySet;
use crate::policy::set::{Mode, RuleKind, SessionMode};

impl Explanation {
    /// The tree, without a newline at its end. The last line is the verdict.
    pub fn tree<'a>(&'a self, policy: &'a PolicySet) -> impl fmt::Display + 'a {
        Tree { explained: self, policy }
    }
}

struct Tree<'a> {
    explained: &'a Explanation,
    policy: &'a PolicySet,
}

/// What a row is called.
pub(super) const fn row_name(row: u8) -> &'static str {
    match row {
        1 => "the request itself",
        2 => "lists",
        3 => "key",
        4 => "target and session",
        5 => "bans",
        6 => "view-bots",
        7 => "limits",
        _ => "generators",
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { explained, policy } = self;
        let mut rows: Vec<u8> = explained.checks.iter().map(|check| check.row).collect();
        rows.dedup();
        for row in rows {
            writeln!(f, "├─ {row} {}", row_name(row))?;
            let checks: Vec<&Check> = explained.checks.iter().filter(|check| check.row == row).collect();
            for (place, check) in checks.iter().enumerate() {
                let last = place + 1 == checks.len();
                writeln!(f, "│  {} {}", if last { "└─" } else { "├─" }, Line { check, policy, explained })?;
                if !matches!(check.outcome, Outcome::DoesNotApply(_)) {
                    for amount in &check.amounts {
                        let gap = if last { " " } else { "│" };
                        match check.what {
                            What::Viewbots => writeln!(f, "│  {gap}     {}", Excess(amount))?,
                            _ => writeln!(f, "│  {gap}     {}", Used(amount))?,
                        }
                    }
                }
            }
        }
        write!(f, "└─ {}", Verdict { explained, policy })
    }
}

struct Verdict<'a> {
    explained: &'a Explanation,
    policy: &'a PolicySet,
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { explained, policy } = self;
        let decision = &explained.decision;
        match &decision.refusal {
            None => f.write_str("admitted")?,
            Some(refusal) => {
                let first = refusal.first();
                write!(f, "refused by `{}` ({})", first.rule_name(policy), decision.verdict().word())?;
                write!(f, ": {}", first.describe(policy))?;
            }
        }
        match &decision.shadow {
            Shadow::Refuses(shadow) => {
                let rule = shadow.first().rule_name(policy);
                write!(f, "\n   with every shadow rule in force it would be refused by `{rule}`")
            }
            Shadow::Admits => f.write_str("\n   with every shadow rule in force it would be admitted"),
            Shadow::Same => Ok(()),
        }
    }
}

struct Line<'a> {
    check: &'a Check,
    policy: &'a PolicySet,
    explained: &'a Explanation,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, policy, .. } = self;
        match check.what {
            What::Rule(place) => {
                let rule = policy.rule(place);
                write!(f, "{} `{}`", rule.kind.word(), rule.name)?;
                if check.mode == Mode::Shadow {
                    f.write_str(" in shadow")?;
                }
                write!(f, " ({}:{})", rule.file, rule.line)?;
            }
            What::Key => f.write_str("the key")?,
            What::Target => f.write_str("the target")?,
            What::Session => f.write_str("the session")?,
            What::OperatorBans => f.write_str("the operator's list of bans")?,
            What::Convictions => write!(f, "the book of convictions{}", self.in_shadow())?,
            What::Viewbots => write!(f, "view-bot detection{}", self.in_shadow())?,
        }
        match &check.outcome {
            Outcome::Refuses(reasons) => {
                f.write_str(" REFUSES: ")?;
                self.reasons(f, reasons)
            }
            Outcome::WouldRefuse(reasons) => {
                f.write_str(" would refuse: ")?;
                self.reasons(f, reasons)
            }
            Outcome::Exempts(by) => {
                write!(f, " exempts from {}: {}", self.exempt(), lists_the(by.iter().copied()))
            }
            Outcome::Passes(pass) => write!(f, " passes: {}", pass_words(*pass)),
            Outcome::DoesNotApply(skip) => {
                f.write_str(" does not apply: ")?;
                self.skip(f, skip)
            }
        }
    }
}

/// `it lists the address and the user agent`.
fn lists_the(by: impl Iterator<Item = Matcher>) -> String {
    let by: Vec<_> = by.map(Matcher::word).collect();
    format!("it lists the {}", by.join(" and the "))
}

impl Line<'_> {
    /// What a caller is told stands once, in the verdict; here stands what made it so.
    fn reasons(&self, f: &mut fmt::Formatter<'_>, reasons: &[Reason]) -> fmt::Result {
        let mut by = reasons.iter().filter_map(|reason| match reason {
            Reason::Blocked { by, .. } => Some(*by),
            _ => None,
        });
        if let Some(first) = by.next() {
            return f.write_str(&lists_the(std::iter::once(first).chain(by)));
        }
        for (place, reason) in reasons.iter().enumerate() {
            let between = if place > 0 { "; " } else { "" };
            write!(f, "{between}{}", reason.describe(self.policy))?;
            // A caller is not told the numbers; whoever asks here is the operator.
            if let Some(evidence) = reason.evidence() {
                write!(f, " [{evidence}]")?;
            }
        }
        Ok(())
    }

    fn in_shadow(&self) -> &'static str {
        if self.check.mode == Mode::Shadow { " in shadow" } else { "" }
    }

    fn exempt(&self) -> String {
        let What::Rule(place) = self.check.what else { return String::new() };
        let RuleKind::Allowlist { exempt, .. } = &self.policy.rule(place).kind else { return String::new() };
        let words = [("blocklist", exempt.blocklist), ("quota", exempt.quota), ("viewbot", exempt.viewbot)];
        let words: Vec<_> = words.into_iter().filter(|(_, is)| *is).map(|(word, _)| word).collect();
        words.join(", ")
    }

    fn skip(&self, f: &mut fmt::Formatter<'_>, skip: &Skip) -> fmt::Result {
        let operation = self.explained.operation;
        match skip {
            Skip::Off => f.write_str("its mode is `off`"),
            Skip::NotListed => f.write_str("it lists nothing of the request"),
            Skip::Expired(at) => write!(f, "it ended at {at}"),
            Skip::Tier => {
                let tier = &self.policy.tier(self.explained.caller.tier).name;
                let What::Rule(place) = self.check.what else { return Ok(()) };
                let tiers = tiers_of(self.policy, self.policy.rule(place)).unwrap_or_default();
                write!(f, "the caller's tier is `{tier}`, the rule is for `{}`", tiers.join("`, `"))
            }
            Skip::Operation if !operation.costs_quota() => write!(f, "`{operation}` costs nothing"),
            Skip::Operation => write!(f, "it is not for `{operation}`"),
            Skip::NoSubject(scope) => write!(f, "the request has no {scope} to count by"),
            Skip::Exempt(rule) => {
                write!(f, "allowlist `{}` exempts the request", self.policy.rule(*rule).name)
            }
            Skip::AllowlistInShadow => f.write_str("it is in shadow: it would exempt this request"),
            Skip::NoTarget => write!(f, "this `{operation}` names no URL to be signed"),
            Skip::TargetInBody => f.write_str("the URL stands in the body, which was not given"),
            Skip::NoViewer => write!(f, "this `{operation}` adds no viewer to a room"),
            Skip::StoppedBefore => {
                f.write_str("a ban or another rule stops the request, and what is stopped is not weighed")
            }
        }
    }
}

fn pass_words(pass: Pass) -> &'static str {
    match pass {
        Pass::NotListed => "it lists nothing of the request",
        Pass::Room => "there is room",
        Pass::NoKey => "none was shown",
        Pass::KeyValid => "it is known, valid, and may be used here",
        Pass::TargetListed => "it is listed",
        Pass::NoSession => "none came along",
        Pass::Session(SessionMode::Pass) => "it goes on to the generator",
        Pass::Session(SessionMode::Strip) => "the request goes on without it",
        Pass::Session(SessionMode::Refuse) => "it is refused",
        Pass::NotBanned => "none stands against it",
        Pass::NotSuspect => "it has nothing against it, or not enough",
    }
}

/// No limit: beyond it a room is looked at, and nobody is refused for it alone.
struct Excess<'a>(&'a Amount);

impl fmt::Display for Excess<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(amount) = self;
        write!(f, "{}: {} (the room is looked at beyond {})", amount.name, amount.used, amount.max)
    }
}

struct Used<'a>(&'a Amount);

impl fmt::Display for Used<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(amount) = self;
        write!(f, "{}: {} of {}", amount.name, amount.used, amount.max)?;
        if let Some(scope) = amount.different {
            write!(f, " different ({scope})")?;
        }
        f.write_str(" used")?;
        if let Some(resets) = amount.resets {
            write!(f, ", whole again in {}", Wait::of(resets))?;
        }
        if amount.shared { f.write_str(", shared with its neighbours") } else { Ok(()) }
    }
}
