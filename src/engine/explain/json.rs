//! An explanation as a program reads it.

use serde_json::{Value, json};

use super::{Amount, Check, Explanation, Outcome, Pass, Skip, What};
use crate::base::time::Wait;
use crate::engine::decision::{Matcher, Reason, Refusal};
use crate::policy::PolicySet;

impl Explanation {
    /// One object: `operation`, `tier`, `account`, `key`, `verdict`, `shadow`, `rule`, `label`, `wait_s`, `message`, and `checks`, each
    /// with `row`, `check`, `rule`, `mode`, `file`, `line`, `outcome`, `why`, `reasons`, `evidence`, `limits`. Words of `outcome`: `refuses`,
    /// `would-refuse`, `exempts`, `passes`, `does-not-apply`.
    pub fn json(&self, policy: &PolicySet) -> Value {
        let identity = self.caller.identity.as_ref();
        let refusal = self.decision.refusal.as_ref();
        json!({
            "operation": self.operation.word(),
            "tier": policy.tier(self.caller.tier).name.as_str(),
            "account": identity.map(|(account, _)| account.as_str()),
            "key": identity.map(|(_, key)| key.as_str()),
            "verdict": self.decision.verdict().word(),
            "shadow": self.decision.shadow_verdict().word(),
            "rule": refusal.map(|refusal| refusal.first().rule_name(policy)),
            "label": refusal.map(|refusal| refusal.first().label()),
            "wait_s": refusal.and_then(Refusal::wait).map(Wait::secs),
            "message": refusal.map(|refusal| refusal.first().describe(policy).to_string()),
            "checks": self.checks.iter().map(|check| one(check, policy)).collect::<Vec<_>>(),
        })
    }
}

fn one(check: &Check, policy: &PolicySet) -> Value {
    let rule = match check.what {
        What::Rule(place) => Some(policy.rule(place)),
        _ => None,
    };
    let reasons = |reasons: &[Reason]| -> Value {
        reasons.iter().map(|reason| reason.describe(policy).to_string()).collect::<Vec<_>>().into()
    };
    let evidence: Vec<String> = match &check.outcome {
        Outcome::Refuses(found) | Outcome::WouldRefuse(found) => {
            found.iter().filter_map(Reason::evidence).map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    let (outcome, why, reasons) = match &check.outcome {
        Outcome::Refuses(found) => ("refuses", Value::Null, reasons(found)),
        Outcome::WouldRefuse(found) => ("would-refuse", Value::Null, reasons(found)),
        Outcome::Exempts(by) => {
            ("exempts", by.iter().map(|by| Matcher::word(*by)).collect::<Vec<_>>().into(), json!([]))
        }
        Outcome::Passes(pass) => ("passes", pass_word(*pass).into(), json!([])),
        Outcome::DoesNotApply(skip) => ("does-not-apply", skip_value(skip, policy), json!([])),
    };
    json!({
        "row": check.row,
        "check": match check.what {
            What::Rule(place) => policy.rule(place).kind.word(),
            What::Key => "key",
            What::Target => "target",
            What::Session => "session",
            What::OperatorBans => "operator-bans",
            What::Convictions => "convictions",
            What::Viewbots => "viewbots",
        },
        "rule": rule.map(|rule| rule.name.as_str()),
        "mode": check.mode.word(),
        "file": rule.map(|rule| &*rule.file),
        "line": rule.map(|rule| rule.line),
        "outcome": outcome,
        "why": why,
        "reasons": reasons,
        "evidence": evidence,
        "limits": check.amounts.iter().map(amount).collect::<Vec<_>>(),
    })
}

fn amount(amount: &Amount) -> Value {
    json!({
        "window": &*amount.name,
        "different": amount.different.map(crate::base::subject::Scope::word),
        "max": amount.max,
        "used": amount.used,
        "resets_s": amount.resets.map(|left| Wait::of(left).secs()),
        "shared": amount.shared,
    })
}

const fn pass_word(pass: Pass) -> &'static str {
    match pass {
        Pass::NotListed => "not-listed",
        Pass::Room => "room",
        Pass::NoKey => "no-key",
        Pass::KeyValid => "key-valid",
        Pass::TargetListed => "target-listed",
        Pass::NoSession => "no-session",
        Pass::Session(_) => "session-taken",
        Pass::NotBanned => "not-banned",
        Pass::NotSuspect => "not-suspect",
    }
}

fn skip_value(skip: &Skip, policy: &PolicySet) -> Value {
    match skip {
        Skip::Off => "off".into(),
        Skip::NotListed => "not-listed".into(),
        Skip::Expired(at) => json!({ "expired": at.to_string() }),
        Skip::Tier => "tier".into(),
        Skip::Operation => "operation".into(),
        Skip::NoSubject(scope) => json!({ "no-subject": scope.word() }),
        Skip::Exempt(rule) => json!({ "exempt": policy.rule(*rule).name.as_str() }),
        Skip::AllowlistInShadow => "allowlist-in-shadow".into(),
        Skip::NoTarget => "no-target".into(),
        Skip::TargetInBody => "target-in-body".into(),
        Skip::NoViewer => "no-viewer".into(),
        Skip::StoppedBefore => "stopped-before".into(),
    }
}
