//! What a process runs with: typed, checked, complete.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::fleet::Asking;
use crate::base::host::HostPattern;
use crate::base::secret::{KeyHash, Secret};
use crate::base::time::Timestamp;

/// Everything that is decided once per process. [`Default`] is what runs where nobody says anything: a gateway for this
/// machine alone, with the stand-in generator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients come in.
    pub listen: Listen,
    /// Where the operator comes in.
    pub admin: Admin,
    /// What decides.
    pub policies: Policies,
    /// What is kept across restarts.
    pub store: Store,
    /// The access record.
    pub record: Record,
    /// How generators are asked, beside what each is.
    pub asking: Asking,
    /// At least one, with different names.
    pub generators: Vec<Generator>,
    /// How many worker threads; one per core where left out.
    pub workers: Option<NonZeroU16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            admin: Admin::default(),
            policies: Policies::default(),
            store: Store::default(),
            record: Record::default(),
            asking: Asking::default(),
            generators: vec![Generator::stand_in()],
            workers: None,
        }
    }
}

/// Where clients come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The public listener.
    pub address: SocketAddr,
    /// Where a client's address is read.
    pub client_address: ClientAddress,
    /// The operator's own proxies: only what they say of a client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// A path of the public listener that answers 200 while the gateway serves, for a load balancer; none where left out.
    pub health_path: Option<String>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            client_address: ClientAddress::Peer,
            trusted_proxies: Vec::new(),
            health_path: None,
        }
    }
}

/// The one source of a client's address (design 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAddress {
    /// The other end of the connection.
    #[default]
    Peer,
    /// The `X-Forwarded-For` header.
    XForwardedFor,
    /// The `Forwarded` header (RFC 7239).
    Forwarded,
    /// The line that HAProxy's PROXY protocol sends first.
    ProxyProtocol,
}

impl ClientAddress {
    /// The words of the file.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("peer", Self::Peer),
        ("x-forwarded-for", Self::XForwardedFor),
        ("forwarded", Self::Forwarded),
        ("proxy-protocol", Self::ProxyProtocol),
    ];
}

/// Where the operator comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The admin listener.
    pub address: SocketAddr,
    /// The socket over which changes are made without a token; `None` where there is to be none (`"none"`).
    pub socket: Option<Socket>,
    /// Who may change what over the listener; nobody where there is none.
    pub tokens: Vec<Token>,
}

/// The socket on which whoever may open it may change everything: mode 0600, so the gateway's own user and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where it is.
    pub path: PathBuf,
    /// Whether somebody named it: then it must come about. The default one is left out, with a word, where it cannot be.
    pub named: bool,
}

impl Default for Socket {
    fn default() -> Self {
        Self { path: "./data/admin.sock".into(), named: false }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9091)),
            socket: Some(Socket::default()),
            tokens: Vec::new(),
        }
    }
}

/// A token for the admin API, as its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is, as audit rows say it.
    pub name: String,
    /// Its hash.
    pub hash: KeyHash,
    /// What it admits to.
    pub role: Role,
    /// When it stops being valid.
    pub expires: Option<Timestamp>,
}

/// What a token admits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Bans, pardons, switches keys.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// The words of the file.
    pub const WORDS: [(&'static str, Self); 3] =
        [("viewer", Self::Viewer), ("operator", Self::Operator), ("admin", Self::Admin)];
}

/// Where the policies are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// Their directory.
    pub directory: PathBuf,
    /// Whether somebody named it: then it must be there. The default one is replaced by the shipped set where it is
    /// missing.
    pub named: bool,
}

impl Default for Policies {
    fn default() -> Self {
        Self { directory: "./policies".into(), named: false }
    }
}

/// What is kept across restarts: in this version former policy sets alone, in a folder beside the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In this file.
    File(PathBuf),
    /// Nothing (`none`).
    None,
}

impl Default for Store {
    fn default() -> Self {
        Self::File("./data/signgate.db".into())
    }
}

impl std::str::FromStr for Store {
    type Err = String;

    /// Reads a path, or `none`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("expected a path, or `none`".into()),
            "none" => Ok(Self::None),
            // It would become a directory of that name.
            url if url.contains("://") => {
                Err("a store elsewhere is not supported by this version yet: expected a path on this machine, or `none`".into())
            }
            path => Ok(Self::File(path.into())),
        }
    }
}

/// The access record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where it goes.
    pub to: RecordTo,
    /// A file of so many bytes is set aside; so is one that is a day old.
    pub rotate_bytes: u64,
    /// A file that was set aside is removed after that.
    pub keep: Duration,
    /// No whole address of a client is kept longer than this: then it is cut to its /24 or /48.
    pub cut_addresses_after: Option<Duration>,
    /// The share of admitted, well answered requests that is recorded, from 0 to 1; all others always are.
    pub allowed_share: f64,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            to: RecordTo::File("./data/access.jsonl".into()),
            rotate_bytes: 1 << 30,
            keep: Duration::from_secs(7 * 86_400),
            cut_addresses_after: None,
            allowed_share: 1.0,
        }
    }
}

/// Where the access record goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordTo {
    /// Into this file.
    File(PathBuf),
    /// To stdout (`-`).
    Stdout,
    /// Nowhere (`none`).
    None,
}

/// One generator.
#[derive(Debug, Clone, PartialEq)]
pub struct Generator {
    /// What the operator calls it: in metrics, records and logs.
    pub name: String,
    /// What clients are told, as `X-Agent-ID`: the name where left out.
    pub alias: String,
    /// How it speaks, and where it is.
    pub kind: GeneratorKind,
    /// The gateway's own key there.
    pub key: Option<Secret>,
    /// At most so many requests at a time.
    pub in_flight_max: NonZeroU16,
    /// How much it can do beside the others, 1 to 1,000.
    pub weight: u32,
    /// Certificates to trust instead of the system's, in PEM.
    pub ca: Option<PathBuf>,
    /// Where it is a new version of another: of which, and how much of the traffic it gets.
    pub canary: Option<Canary>,
    /// What its answers are asked for.
    pub judge: Judge,
    /// What the gateway shows of itself to a generator that asks for a certificate.
    pub client: Option<ClientCertificate>,
}

/// A new version of a generator, tried on a share of the traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// The name of the version in use.
    pub of: String,
    /// The share of accounts that it gets, above 0 and up to a half.
    pub share: f64,
}

impl Canary {
    /// What [`share`](Self::share) is where left out.
    pub const SHARE_DEFAULT: f64 = 0.05;
}

/// What the answers of a generator are asked for. [`Default`] is what holds where the file says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    /// Whether a connect must bring `X-Set-TT-Cookie`.
    pub cookie: bool,
    /// Whether a connect must bring route parameters.
    pub route_params: bool,
    /// To which hosts a connect may lead. `None`: to TikTok's, and to this machine where the generator is on it.
    pub push_hosts: Option<Vec<HostPattern>>,
    /// An answer with less than this share of what is usual is too small; 0 is never.
    pub size_share: f64,
    /// And no answer of so many bytes is.
    pub size_below: u32,
    /// What a signed URL must carry.
    pub signature: SignatureWord,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            cookie: true,
            route_params: true,
            push_hosts: None,
            size_share: 0.25,
            size_below: 1024,
            signature: SignatureWord::Any,
        }
    }
}

/// What a signed URL must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureWord {
    /// Any parameter that was not asked for, whatever it looks like.
    Present,
    /// `X-Bogus`, `X-Gnarly` or the older `_signature`.
    Any,
    /// `X-Bogus` and `X-Gnarly`.
    New,
    /// These and `msToken`.
    Full,
}

impl SignatureWord {
    /// The words of the file.
    pub const WORDS: [(&'static str, Self); 4] =
        [("present", Self::Present), ("any", Self::Any), ("new", Self::New), ("full", Self::Full)];
}

/// The gateway's own certificate at a generator, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and the one that the generator trusts.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Generator {
    /// The built-in one.
    pub fn stand_in() -> Self {
        Self {
            name: "stand-in".into(),
            alias: "stand-in".into(),
            kind: GeneratorKind::StandIn,
            key: None,
            in_flight_max: GeneratorKind::StandIn.in_flight_default(),
            weight: 1,
            ca: None,
            canary: None,
            judge: Judge::default(),
            client: None,
        }
    }
}

/// How a generator speaks, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GeneratorKind {
    /// The sign API itself; `http` or `https`, a host, perhaps a path before those of the API.
    Euler {
        /// Where.
        url: Url,
    },
    /// carcabot's `tiktok-signature`: signs URLs, nothing else.
    Carcabot {
        /// Where.
        url: Url,
    },
    /// Built in: well-formed answers that open nothing.
    StandIn,
}

impl GeneratorKind {
    /// The word of the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Euler { .. } => "euler",
            Self::Carcabot { .. } => "carcabot",
            Self::StandIn => "stand-in",
        }
    }

    /// What [`Generator::in_flight_max`] is where left out. One browser signs one URL at a time: what is sent beyond that
    /// waits there, where it cannot be taken back.
    pub const fn in_flight_default(&self) -> NonZeroU16 {
        match self {
            Self::Euler { .. } | Self::StandIn => NonZeroU16::new(256).unwrap(),
            Self::Carcabot { .. } => NonZeroU16::MIN,
        }
    }
}
