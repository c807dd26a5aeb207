//! The file as it was written: each value checked by itself, and where it stands. What values mean together is checked in
//! `settle`, once the flags are known.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::fleet::{Asking, asking};
use super::settings::{ClientAddress, RecordTo, Role, SignatureWord, Store, Token};
use crate::base::host::HostPattern;
use crate::base::id::is_name;
use crate::base::rate::parse_length;
use crate::base::secret::KeyHash;
use crate::policy::diagnostic::{Diagnostic, quoted};
use crate::policy::reader::{At, Spot, Table, Value};

/// Prefixes in `trusted-proxies`: a cloud's load balancers need hundreds.
const TRUSTED_PROXIES_MAX: usize = 4096;

/// Hosts in `push-hosts`: a platform's.
const PUSH_HOSTS_MAX: usize = 64;

/// Tables of policies: what people write here instead.
const OF_POLICIES: [&str; 14] = [
    "tier",
    "account",
    "key",
    "quota",
    "distinct",
    "rate",
    "concurrency",
    "blocklist",
    "allowlist",
    "target",
    "sessions",
    "networks",
    "shedding",
    "viewbot",
];

/// What the file says; `None` where it says nothing, or something wrong, which has been told then.
#[derive(Debug, Default)]
pub(super) struct RawSettings {
    pub(super) listen_address: Option<At<SocketAddr>>,
    pub(super) client_address: Option<At<ClientAddress>>,
    pub(super) trusted_proxies: Option<At<Vec<At<IpNet>>>>,
    pub(super) names_trusted_proxies: bool,
    pub(super) health_path: Option<At<String>>,
    pub(super) admin_address: Option<At<SocketAddr>>,
    pub(super) admin_socket: Option<At<PathBuf>>,
    pub(super) tokens: Vec<At<Token>>,
    pub(super) policies: Option<At<PathBuf>>,
    /// Whether there is any `[policies]`, sound or not.
    pub(super) names_policies: bool,
    pub(super) store: Option<At<Store>>,
    pub(super) record_to: Option<At<RecordTo>>,
    pub(super) rotate_bytes: Option<At<u32>>,
    pub(super) keep: Option<At<Duration>>,
    pub(super) cut_addresses_after: Option<At<Duration>>,
    pub(super) allowed_share: Option<At<f64>>,
    pub(super) judge: RawJudge,
    pub(super) asking: Asking,
    pub(super) generators: Vec<RawGenerator>,
    /// Whether there is any `[[generator]]`, sound or not: the default must not stand in for a broken one.
    pub(super) names_generators: bool,
}

/// One `[[generator]]`.
#[derive(Debug)]
pub(super) struct RawGenerator {
    pub(super) spot: Spot,
    pub(super) name: Option<At<String>>,
    pub(super) alias: Option<At<String>>,
    pub(super) kind: Option<At<KindWord>>,
    pub(super) url: Option<At<Url>>,
    pub(super) has_url: bool,
    pub(super) key_file: Option<At<PathBuf>>,
    pub(super) in_flight_max: Option<At<u32>>,
    pub(super) weight: Option<At<u32>>,
    pub(super) ca: Option<At<PathBuf>>,
    pub(super) canary_of: Option<At<String>>,
    pub(super) canary_share: Option<At<f64>>,
    pub(super) judge: RawJudge,
    pub(super) client_cert: Option<At<PathBuf>>,
    pub(super) client_key: Option<At<PathBuf>>,
}

/// `[judge]`, and `[generator.judge]` over it.
#[derive(Debug, Default)]
pub(super) struct RawJudge {
    pub(super) cookie: Option<bool>,
    pub(super) route_params: Option<bool>,
    pub(super) push_hosts: Option<Vec<HostPattern>>,
    pub(super) size_share: Option<f64>,
    pub(super) size_below: Option<u32>,
    pub(super) signature: Option<SignatureWord>,
}

/// What `kind` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindWord {
    Euler,
    Carcabot,
    StandIn,
}

impl KindWord {
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("euler", Self::Euler), ("carcabot", Self::Carcabot), ("stand-in", Self::StandIn)];
}

/// Reads the whole file.
pub(super) fn read(top: &mut Table<'_>) -> RawSettings {
    let mut raw = RawSettings::default();
    top.elsewhere(&OF_POLICIES, "in a file of the policy directory");
    section(top, "listen", |table| {
        raw.listen_address =
            table.optional("address", |value| value.parsed_such_as("127.0.0.1:8080", address));
        raw.client_address = table.optional("client-address", |value| {
            value.word("source of client addresses", &ClientAddress::WORDS)
        });
        raw.names_trusted_proxies = table.has("trusted-proxies");
        raw.trusted_proxies = table
            .optional("trusted-proxies", |value| value.list(TRUSTED_PROXIES_MAX, |item| item.parsed(prefix)));
        raw.health_path = table.optional("health-path", |value| value.parsed(health_path));
    });
    section(top, "admin", |table| {
        raw.admin_address =
            table.optional("address", |value| value.parsed_such_as("127.0.0.1:9091", address));
        raw.admin_socket = table.optional("socket", path);
        table.many("token", |table| raw.tokens.extend(token(table)));
    });
    raw.names_policies = top.has("policies");
    section(top, "policies", |table| raw.policies = table.optional("directory", path));
    section(top, "store", |table| {
        raw.store =
            table.optional("path", |value| value.parsed(|text| text.parse().map_err(Diagnostic::error)));
        table.unsupported("url", "[store] url");
    });
    section(top, "record", |table| {
        raw.record_to = table.optional("path", record_to);
        // A file that is set aside for every few lines helps nobody; more than 4 GiB is hard to open.
        raw.rotate_bytes = table.optional("rotate-bytes", |value| value.whole(1 << 16..=u32::MAX));
        raw.keep = table.optional("keep", |value| value.parsed_such_as("6h", length));
        raw.cut_addresses_after =
            table.optional("cut-addresses-after", |value| value.parsed_such_as("24h", an_hour_or_longer));
        raw.allowed_share = table.optional("allowed-share", Value::share);
    });
    section(top, "judge", |table| raw.judge = judge(table));
    section(top, "generators", |table| raw.asking = asking(table));
    raw.names_generators = top.has("generator");
    top.many("generator", |table| raw.generators.push(generator(table)));
    top.unsupported("shared", "[shared]");
    top.unsupported("replicas", "[replicas]");
    top.unsupported("console", "[console]");
    raw
}

/// Reads `[name]`, if it is there.
fn section<'r>(top: &mut Table<'r>, name: &'static str, read: impl FnOnce(&mut Table<'r>)) {
    let what = top.inner(name);
    top.optional(name, |value| {
        value.table(what, |table| {
            read(table);
            Some(())
        })
    });
}

fn judge(table: &mut Table<'_>) -> RawJudge {
    let value = |at: At<bool>| at.value;
    RawJudge {
        cookie: table.optional("cookie", Value::boolean).map(value),
        route_params: table.optional("route-params", Value::boolean).map(value),
        push_hosts: table
            .optional("push-hosts", |value| value.list(PUSH_HOSTS_MAX, |item| item.parsed(host_pattern)))
            .map(|at| at.value.into_iter().map(|host: At<HostPattern>| host.value).collect()),
        size_share: table.optional("size-share", Value::share).map(|at| at.value),
        // What an answer may have at most.
        size_below: table.optional("size-below", |value| value.whole(0..=1 << 20)).map(|at| at.value),
        signature: table
            .optional("signature", |value| value.word("demand on signatures", &SignatureWord::WORDS))
            .map(|at| at.value),
    }
}

fn host_pattern(text: &str) -> Result<HostPattern, Diagnostic> {
    HostPattern::parse(text).ok_or_else(|| {
        Diagnostic::error(format!("{} is no host", quoted(text))).label(
            "expected one such as `push.example`, `*.tiktok.com` for all below it, or `*` for every host",
        )
    })
}

fn generator(table: &mut Table<'_>) -> RawGenerator {
    // A key written here instead of in its file must not be shown.
    table.hide_unknown();
    RawGenerator {
        spot: table.spot(),
        name: table.required("name", |value| value.parsed(name)),
        alias: table.optional("alias", |value| value.parsed(name)),
        kind: table.required("kind", |value| value.word("kind of generator", &KindWord::WORDS)),
        has_url: table.has("url"),
        url: table.optional("url", |value| {
            // Not quoted: people put keys into URLs.
            check_url(value.secret_text()?)
                .map_or_else(|why| value.refuse_unquoted(|| why.diagnostic()), Some)
        }),
        key_file: table.optional("key-file", path),
        in_flight_max: table.optional("in-flight-max", |value| value.whole(1..=u32::from(u16::MAX))),
        weight: table.optional("weight", |value| value.whole(1..=1_000)),
        ca: table.optional("ca", path),
        canary_of: table.optional("canary-of", |value| value.parsed(name)),
        // More than half would make the old version the canary.
        canary_share: table.optional("canary-share", |value| value.number(0.001..=0.5)),
        judge: {
            let mut own = RawJudge::default();
            section(table, "judge", |table| own = judge(table));
            own
        },
        client_cert: table.optional("client-cert", path),
        client_key: table.optional("client-key", path),
    }
}

fn token(table: &mut Table<'_>) -> Option<At<Token>> {
    table.hide_unknown();
    let spot = table.spot();
    let name = table.required("name", |value| value.parsed(name));
    let hash = table.required("hash", |value| {
        // Not quoted: the token itself may stand here by mistake.
        KeyHash::parse(value.secret_text()?).or_else(|| {
            value.refuse_unquoted(|| {
                Diagnostic::error("this is not the hash of a token")
                    .label("expected `blake3:` and 64 hexadecimal digits")
                    .help("the token itself belongs in no file here, only its hash")
            })
        })
    });
    let role = table.required("role", |value| value.word("role", &Role::WORDS));
    let expires = table.optional("expires", Value::time);
    let (name, hash, role) = (name?.value, hash?.value, role?.value);
    Some(At { value: Token { name, hash, role, expires: expires.map(|at| at.value) }, spot })
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Diagnostic> {
    text.parse().map_err(|_| {
        let wrong = Diagnostic::error(format!("{} is no address to listen on", quoted(text)))
            .label("expected an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`");
        let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok());
        match (text, port) {
            (_, Some(port)) if text.starts_with(':') || text == port => wrong.help(format!(
                "`127.0.0.1:{port}` is for this machine alone, `0.0.0.0:{port}` for everybody"
            )),
            (_, Some(port)) if text.starts_with("localhost:") => {
                wrong.help(format!("write `127.0.0.1:{port}`"))
            }
            _ => wrong,
        }
    })
}

fn prefix(text: &str) -> Result<IpNet, Diagnostic> {
    let alone = text.parse().map(|address: std::net::IpAddr| IpNet::from(address.to_canonical()));
    let prefix: IpNet = alone.or_else(|_| text.parse()).map_err(|_| {
        Diagnostic::error(format!("{} is no network prefix", quoted(text)))
            .label("expected one such as `10.0.0.0/8`, `2001:db8::/32`, or an address")
    })?;
    let trunc = prefix.trunc();
    if trunc == prefix {
        return Ok(prefix);
    }
    Err(Diagnostic::error(format!("{} has bits beyond its length", quoted(text)))
        .help(format!("write `{trunc}`")))
}

fn health_path(text: &str) -> Result<String, Diagnostic> {
    const BYTES_MAX: usize = 64;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'/');
    let first = text.split('/').nth(1).unwrap_or_default();
    if !text.starts_with('/') || first.is_empty() || text.len() > BYTES_MAX || !text.bytes().all(plain) {
        return Err(Diagnostic::error(format!("{} is no path for health checks", quoted(text)))
            .label("expected a slash and letters, digits, `-`, `.`, `_`, such as `/healthz`"));
    }
    if matches!(first, "webcast" | "tiktok" | "accounts") {
        return Err(Diagnostic::error(format!("{} would hide a path of the sign API", quoted(text)))
            .help("choose one that no client asks for, such as `/healthz`"));
    }
    Ok(text.to_owned())
}

fn record_to(value: Value<'_>) -> Option<RecordTo> {
    match value.text()? {
        "-" => Some(RecordTo::Stdout),
        "none" => Some(RecordTo::None),
        _ => path(value).map(RecordTo::File),
    }
}

fn path(value: Value<'_>) -> Option<PathBuf> {
    value.parsed(|text| match text {
        "" => Err(Diagnostic::error("the path is empty")),
        path if path.contains('\0') => Err(Diagnostic::error("the path holds a zero byte")),
        path => Ok(PathBuf::from(path)),
    })
}

pub(super) fn length(text: &str) -> Result<Duration, Diagnostic> {
    parse_length(text).map_err(|why| {
        Diagnostic::error(format!("{} is no length of time", quoted(text))).label(why.to_string())
    })
}

fn an_hour_or_longer(text: &str) -> Result<Duration, Diagnostic> {
    const LEAST: Duration = Duration::from_secs(3_600);
    length(text).and_then(|length| {
        if length >= LEAST {
            return Ok(length);
        }
        Err(Diagnostic::error(format!("{} is too short", quoted(text)))
            .label("at least `1h`")
            .help("whoever is refused can be told why only while the address is known"))
    })
}

fn name(text: &str) -> Result<String, Diagnostic> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(Diagnostic::error(format!("{} is no name", quoted(text)))
        .label("expected 1 to 64 letters, digits, `-`, `_`, `.`, `@`"))
}

/// Why a text is no URL of a generator. Its text is in no message, for people put keys into URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadUrl {
    /// What is wrong.
    pub(super) message: String,
    /// What to write.
    pub(super) help: Option<String>,
}

impl BadUrl {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn diagnostic(self) -> Diagnostic {
        Diagnostic { help: self.help, ..Diagnostic::error(self.message) }
    }
}

/// In one line.
impl std::fmt::Display for BadUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// A URL of a generator.
pub(super) fn check_url(text: &str) -> Result<Url, BadUrl> {
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        parsed => {
            let message = match parsed {
                Err(why) if text.contains("://") => format!("this is no URL: {why}"),
                _ => "the URL of a generator begins with `http://` or `https://`".into(),
            };
            // No more of it than what can be no key.
            let help = match without_scheme(text) {
                Some(authority) => format!("write `http://{authority}`"),
                None => "write `http://` or `https://` before the host".into(),
            };
            return Err(BadUrl { message, help: Some(help).filter(|_| !text.contains("://")) });
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadUrl::new(
            "the URL of a generator holds no user name and no password; its key goes into `key-file`",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BadUrl::new("the URL of a generator ends with its path; its key goes into `key-file`"));
    }
    Ok(url)
}

/// The host and the port of a URL whose `http://` was left out, where the host is an address or this machine, as it was
/// written. What else stands there may be a key, with a port or without.
pub(super) fn without_scheme(text: &str) -> Option<String> {
    if text.contains("://") || text.contains('@') {
        return None;
    }
    let url = Url::parse(&format!("http://{text}")).ok()?;
    let (host, kind) = (url.host_str()?, url.host()?);
    // A number is read as an address, too: `1234567890` is `73.150.2.210`.
    if matches!(kind, url::Host::Domain(name) if name != "localhost") || !text.starts_with(host) {
        return None;
    }
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}
