//! What callers are told: in a creator's words what was held against them, and how to appeal. Never how much: whoever learned
//! the thresholds would stay just below them.

use std::fmt;

use super::bans::{Ban, Target};
use super::evidence::{Evidence, Kind};
use super::{Against, Rung};
use crate::base::time::Wait;

const APPEAL: &str = "if you think this is a mistake, give the operator of this sign service the request id";

pub(in crate::engine) fn banned(f: &mut fmt::Formatter<'_>, ban: &Ban) -> fmt::Result {
    let whom = match ban.target {
        Target::ViewerInRoom(..) => "this client is denied this room for a while",
        Target::ProfileInRoom(..) => {
            "new clients of this kind are denied this room from this address for a while"
        }
        Target::Profile(..) => "new clients of this kind are denied from this address for a while",
        Target::Address(_) => "this address is denied for a while",
        Target::SubnetInRoom(..) => "new clients from this network are denied this room for a while",
        Target::KeyInRoom(..) => "new clients with this API key are denied this room for a while",
    };
    write!(f, "{whom}: {}; {APPEAL}", why(&ban.evidence))
}

pub(in crate::engine) fn against(f: &mut fmt::Formatter<'_>, against: &Against) -> fmt::Result {
    let Against { wait, rung, evidence } = against;
    match rung {
        Rung::Repeats => {
            f.write_str("this client asks for the same room again and again, as a broken reconnect does")?;
        }
        Rung::Strangers | Rung::Novel => f.write_str(
            "this room suddenly gets far more new viewers than usual, so new ones are let in a few at a time",
        )?,
        Rung::Suspicion | Rung::OneKind | Rung::Lenient | Rung::Convicted | Rung::Banned => {
            write!(f, "this room gets viewers who look automated: {}", why(evidence))?;
        }
    }
    match wait {
        Some(wait) => write!(f, "; try again in {}; {APPEAL}", Wait::of(*wait)),
        None => write!(f, "; {APPEAL}"),
    }
}

/// What weighs most.
fn why(evidence: &Evidence) -> &'static str {
    let most = evidence.findings().iter().filter(|finding| finding.centibits > 0);
    match most.max_by_key(|finding| finding.centibits).map(|finding| finding.kind) {
        Some(Kind::Profile) => "unusually many of them use the same program",
        Some(Kind::Network) => "unusually many of them come from the same network",
        Some(Kind::IdentityChurn) => "unusually many of them come from this address",
        Some(Kind::KeyFanIn | Kind::SharedFreeKey) => "unusually many of them use this API key",
        Some(Kind::PoolChain) => "many of them moved here together from other rooms",
        Some(Kind::Carried) => "clients of this kind from this address did the same in other rooms",
        Some(Kind::Known | Kind::Strangers | Kind::Repeats) | None => {
            "unusually many new viewers came at once"
        }
    }
}
