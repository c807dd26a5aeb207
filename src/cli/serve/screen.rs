//! What is said at the start.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::{GeneratorKind, RecordTo, Settings};
use crate::control::reload::PolicyPlace;
use crate::policy::PolicySet;

pub(super) fn describe_policies(place: &PolicyPlace, policy: &PolicySet) -> String {
    let place = match place {
        PolicyPlace::Directory(path) => path.display().to_string(),
        PolicyPlace::Shipped => "the shipped set, compiled in".to_owned(),
    };
    format!(
        "{place} ({} rules, {} accounts, {} keys)",
        policy.rules().len(),
        policy.accounts().len(),
        policy.keys().len()
    )
}

/// What is said at the start: what listens where, which generators and policies, how to point a client here; then the line
/// that holds `ready`.
pub(super) fn screen(
    settings: &Settings,
    file: Option<&Path>,
    policies: &str,
    address: SocketAddr,
    admin: SocketAddr,
    workers: usize,
) -> String {
    // What a client can use: nobody connects to 0.0.0.0.
    let reachable = if address.ip().is_unspecified() {
        format!("http://THIS-HOST:{}", address.port())
    } else {
        format!("http://{address}")
    };
    let mut text = format!("signgate {}\n\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<12}{value}");
    };
    let plural = if workers == 1 { "thread" } else { "threads" };
    line("clients", &format!("http://{address}, {workers} {plural}"));
    line("operator", &format!("http://{admin}  /metrics /healthz /readyz /policies /bans /viewbot/rooms"));
    line("settings", &file.map_or("defaults and flags".to_owned(), |file| file.display().to_string()));
    line("policies", policies);
    for (place, generator) in settings.generators.iter().enumerate() {
        let name = if place == 0 { "generators" } else { "" };
        match &generator.kind {
            GeneratorKind::Euler { url } | GeneratorKind::Carcabot { url } => {
                let kind = generator.kind.word();
                // Neither user nor query: an operator may have put a secret there.
                let host = url.host_str().unwrap_or_default();
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                line(name, &format!("{} ({kind} at {}://{host}{port})", generator.name, url.scheme()));
            }
            GeneratorKind::StandIn => {
                line(name, &format!("{} (built in: well-formed answers that open nothing)", generator.name));
                line("", "for real ones: --generator euler=https://your-signer.example");
            }
        }
    }
    line(
        "record",
        &match &settings.record.to {
            RecordTo::File(path) => path.display().to_string(),
            RecordTo::Stdout => "stdout".into(),
            RecordTo::None => "none".into(),
        },
    );
    let _ = write!(
        text,
        "
  point a client here, before it is made:
    Python  TikTokLive             WebDefaults.tiktok_sign_url = \"{reachable}\"
    Node    tiktok-live-connector  SignConfig.basePath = \"{reachable}\"
    C#      TikTokLiveSharp        new TikTokLiveClient(name, customSigningServer: \"{reachable}\")
    Go      gotiktoklive           gotiktoklive.NewTikTokWithOptions(gotiktoklive.SigningUrl(\"{reachable}\"))
    Java and others                where they name a sign server: {reachable}

signgate is ready: listening on http://{address}, admin on http://{admin}
"
    );
    text
}
