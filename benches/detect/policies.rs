//! The policies that are judged.

use std::path::PathBuf;

use anyhow::{Context, bail};
use signgate::base::time::Timestamp;
use signgate::control::reload::PolicyPlace;
use signgate::policy::{PolicySet, Sources, compile};
use signgate::simulate::write_networks;

/// Tiers, targets and networks as all of them have them.
const COMMON: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[tier.community]
class = "free"
[tier.business]
class = "paid"
[tier.enterprise]
class = "paid"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
[networks]
table = "networks.csv"
"#;

/// View-bot detection alone: no quotas, rates or lists. Nobody is known for six hours in half an hour.
const VIEWBOT: &str = r#"
[viewbot]
mode = "enforce"
known-age = "8m"
"#;

/// What a web server in front would do: 60 a minute per address, and so much per key.
const PER_ADDRESS: &str = r#"
[[rate]]
name = "address"
scope = "proxy"
tiers = ["anonymous", "community"]
rate = "60/min"
burst = 20
[[rate]]
name = "free-key"
scope = "key"
tiers = ["community"]
rate = "600/min"
burst = 60
[[rate]]
name = "paid-key"
scope = "key"
tiers = ["business", "enterprise"]
rate = "6000/min"
burst = 600
"#;

/// A bucket of addresses for each room; paid keys are exempt.
const DISTINCT: &str = r#"
[[distinct]]
name = "addresses-of-a-room"
count = "proxy"
scope = "room"
tiers = ["anonymous", "community"]
limits = { "200s" = 100 }
"#;

/// A policy by its name, or of a directory.
pub fn of_name(name: &str) -> anyhow::Result<PolicySet> {
    let rules = match name {
        "viewbot" => VIEWBOT,
        "per-address" => PER_ADDRESS,
        "distinct" => DISTINCT,
        directory => return of_directory(directory),
    };
    let mut networks = Vec::new();
    write_networks(&mut networks)?;
    let mut sources = Sources::new("");
    sources.insert("00-common.toml", COMMON);
    sources.insert("10-rules.toml", rules);
    sources.insert("networks.csv", networks);
    compiled(name, &sources)
}

fn of_directory(directory: &str) -> anyhow::Result<PolicySet> {
    let sources = PolicyPlace::Directory(PathBuf::from(directory)).sources();
    let sources = sources.with_context(|| {
        format!("`{directory}` is neither `viewbot`, `per-address`, `distinct` nor a policy directory")
    })?;
    compiled(directory, &sources)
}

fn compiled(name: &str, sources: &Sources) -> anyhow::Result<PolicySet> {
    // 2027-01-15T08:00:00Z, when traffic begins.
    match compile(sources, Timestamp::from_secs(1_800_000_000)) {
        Ok(compiled) => {
            for warning in &compiled.warnings {
                eprintln!("{warning}");
            }
            Ok(compiled.set)
        }
        Err(wrong) => {
            for diagnostic in &wrong {
                eprintln!("{diagnostic}");
            }
            bail!("the policy `{name}` is wrong")
        }
    }
}
