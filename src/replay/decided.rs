//! One decided record as a JSON line (design 9).

use std::fmt::Write as _;

use super::course::Said;
use crate::base::time::Timestamp;
use crate::engine::decision::{Reason, Refusal};
use crate::policy::PolicySet;

/// Appends one line with its newline: `line` (from 0), `file` where there are several, `time` of the record in milliseconds
/// since 1970 (by which `score` sees whether decisions are about its traffic), `verdict`, `shadow`, `rule` (that decided; `null`
/// where the request is admitted), `reasons` (each with its rule, the deciding one first), and where the shadow rules would
/// refuse it, or for other reasons: `shadow_rule`, `shadow_reasons`.
pub fn write(
    out: &mut Vec<u8>,
    (line, file, time): (u64, Option<&str>, Timestamp),
    said: &Said<'_>,
    policy: &PolicySet,
) {
    out.extend_from_slice(b"{\"line\":");
    out.extend_from_slice(itoa::Buffer::new().format(line).as_bytes());
    if let Some(file) = file {
        out.extend_from_slice(b",\"file\":");
        text(out, file);
    }
    out.extend_from_slice(b",\"time\":");
    out.extend_from_slice(itoa::Buffer::new().format(time.as_millis()).as_bytes());
    out.extend_from_slice(b",\"verdict\":\"");
    out.extend_from_slice(said.verdict().word().as_bytes());
    out.extend_from_slice(b"\",\"shadow\":\"");
    out.extend_from_slice(said.shadow_verdict().word().as_bytes());
    out.push(b'"');
    match said {
        Said::Decision(decision) => {
            match &decision.refusal {
                None => out.extend_from_slice(b",\"rule\":null,\"reasons\":[]"),
                Some(refusal) => write_refusal(out, ",\"rule\":", ",\"reasons\":", refusal, policy),
            }
            if let Some(refusal) = decision.shadow.refusal() {
                write_refusal(out, ",\"shadow_rule\":", ",\"shadow_reasons\":", refusal, policy);
            }
        }
        Said::Fault(fault) => alone(out, fault.label(), &fault.to_string()),
        Said::ByGateway(reason) => alone(out, reason, "refused before any policy was asked"),
    }
    out.extend_from_slice(b"}\n");
}

fn alone(out: &mut Vec<u8>, rule: &str, reason: &str) {
    out.extend_from_slice(b",\"rule\":");
    text(out, rule);
    out.extend_from_slice(b",\"reasons\":[");
    text(out, reason);
    out.push(b']');
}

fn write_refusal(out: &mut Vec<u8>, rule: &str, reasons: &str, refusal: &Refusal, policy: &PolicySet) {
    out.extend_from_slice(rule.as_bytes());
    text(out, refusal.first().rule_name(policy));
    out.extend_from_slice(reasons.as_bytes());
    let mut before = b'[';
    for reason in refusal.reasons() {
        out.push(before);
        before = b',';
        text(out, &worded(reason, policy));
    }
    out.push(b']');
}

/// A reason in words, its rule first.
pub fn worded(reason: &Reason, policy: &PolicySet) -> String {
    let mut words = String::with_capacity(128);
    // Writing into a text does not fail.
    let _ = write!(words, "{}: {}", reason.rule_name(policy), reason.describe(policy));
    if let Some(evidence) = reason.evidence() {
        let _ = write!(words, " [{evidence}]");
    }
    words
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Writing a text into a vector does not fail.
    let _ = serde_json::to_writer(out, text);
}
