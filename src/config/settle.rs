//! From what the file and the flags say to what the process runs with: what is left out, and what does not go together.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use url::Url;

use super::file::{KindWord, RawGenerator, RawJudge, RawSettings};
use super::flags::{self, Flags};
use super::settings::{
    Admin, Canary, ClientAddress, ClientCertificate, Generator, GeneratorKind, Judge, Listen, Policies,
    Record, Settings, Socket, Token,
};
use crate::base::secret::Secret;
use crate::policy::diagnostic::{Diagnostic, quoted};
use crate::policy::reader::{At, Report};

/// No key of a sign service is longer.
const KEY_BYTES_MAX: u64 = 4096;

/// More generators than one gateway asks.
const GENERATORS_MAX: usize = 64;

/// Puts defaults under the file and flags over it. Complaints go to `report`; where there is an error among them, the
/// result is not to be used. With it the names of the file's generators that those of the flags replace.
pub(super) fn settle(raw: RawSettings, flags: &Flags, report: &Report<'_>) -> (Settings, Vec<String>) {
    check_client_address(&raw, report);
    check_addresses(&raw, flags, report);
    let default = Settings::default();
    let listen = Listen {
        address: flags.listen.or(value(raw.listen_address)).unwrap_or(default.listen.address),
        client_address: value(raw.client_address).unwrap_or_default(),
        trusted_proxies: value(raw.trusted_proxies)
            .unwrap_or_default()
            .into_iter()
            .map(|at| at.value)
            .collect(),
        health_path: value(raw.health_path),
    };
    let admin = Admin {
        address: flags.admin.or(value(raw.admin_address)).unwrap_or(default.admin.address),
        socket: match value(raw.admin_socket) {
            None => default.admin.socket,
            Some(path) if path.as_os_str() == "none" => None,
            Some(path) => Some(Socket { path, named: true }),
        },
        tokens: tokens(raw.tokens, report),
    };
    let policies = flags.policies.clone().or(value(raw.policies));
    let record = Record {
        to: value(raw.record_to).unwrap_or(default.record.to),
        rotate_bytes: value(raw.rotate_bytes).map_or(default.record.rotate_bytes, u64::from),
        cut_addresses_after: value(raw.cut_addresses_after),
        keep: value(raw.keep).unwrap_or(default.record.keep),
        allowed_share: value(raw.allowed_share).unwrap_or(default.record.allowed_share),
    };
    let judge = judge(&raw.judge, &Judge::default());
    let of_file = generators(raw.generators, &judge, report);
    let replaced = if flags.generators.is_empty() { &[][..] } else { &of_file };
    let replaced = replaced.iter().map(|generator| generator.name.clone()).collect();
    let settings = Settings {
        listen,
        admin,
        policies: policies.map_or(default.policies, |directory| Policies { directory, named: true }),
        store: flags.store.clone().or(value(raw.store)).unwrap_or(default.store),
        record,
        asking: raw.asking,
        generators: match (flags.generators.as_slice(), raw.names_generators) {
            ([], true) => of_file,
            ([], false) => vec![Generator { judge, ..Generator::stand_in() }],
            (flags, _) => flags::generators(flags, &judge),
        },
        workers: flags.workers,
    };
    (settings, replaced)
}

fn value<T>(at: Option<At<T>>) -> Option<T> {
    at.map(|at| at.value)
}

/// Who may say what a client's address is.
fn check_client_address(raw: &RawSettings, report: &Report<'_>) {
    let trusted = raw.trusted_proxies.as_ref().is_some_and(|proxies| !proxies.value.is_empty());
    // A list that is there and wrong has been complained of already.
    let left_out = !trusted && (raw.trusted_proxies.is_some() || !raw.names_trusted_proxies);
    let source = raw.client_address.as_ref().map(|at| (at.value, at.spot));
    match source {
        Some((ClientAddress::XForwardedFor | ClientAddress::Forwarded, spot)) if left_out => report.error(spot, || {
            Diagnostic::error("a header tells the client's address, and no proxy is trusted to write it")
                .label("needs `trusted-proxies`")
                .help(
                    "anybody can send this header, and so choose the address that limits and blocklists see; \
                     name the addresses of your own proxies in `trusted-proxies`, such as `[\"10.0.0.0/8\"]`",
                )
        }),
        Some((ClientAddress::ProxyProtocol, spot)) if left_out => report.warn(spot, || {
            Diagnostic::warning("every peer is believed what it says of the client's address")
                .label("no `trusted-proxies`")
                .help("name the addresses of your own proxies in `trusted-proxies`, unless nobody else can connect")
        }),
        Some((ClientAddress::Peer, _)) | None if trusted => {
            if let Some(proxies) = &raw.trusted_proxies {
                report.warn(proxies.spot, || {
                    Diagnostic::warning("`trusted-proxies` has no effect: the client's address is the peer's")
                        .help("behind proxies of your own, set `client-address`")
                });
            }
        }
        _ => {}
    }
    let everybody =
        raw.trusted_proxies.iter().flat_map(|proxies| &proxies.value).find(|at| at.value.prefix_len() == 0);
    if let (Some(everybody), Some((ClientAddress::XForwardedFor | ClientAddress::Forwarded, _))) =
        (everybody, source)
    {
        report.warn(everybody.spot, || {
            Diagnostic::warning("every address is a trusted proxy: any client can choose its own address")
        });
    }
}

/// Two listeners on one address: the second could not be opened.
fn check_addresses(raw: &RawSettings, flags: &Flags, report: &Report<'_>) {
    let default = Settings::default();
    let listen = flags.listen.or(raw.listen_address.map(|at| at.value)).unwrap_or(default.listen.address);
    let admin = flags.admin.or(raw.admin_address.map(|at| at.value)).unwrap_or(default.admin.address);
    let same_port = listen.port() == admin.port() && listen.port() != 0;
    let same_address =
        listen.ip() == admin.ip() || listen.ip().is_unspecified() || admin.ip().is_unspecified();
    if same_port && same_address {
        let make = || {
            Diagnostic::error(format!("clients ({listen}) and operator ({admin}) cannot share one address"))
                .help("give the admin listener another port: what it shows is not for clients")
        };
        match raw.admin_address.or(raw.listen_address) {
            Some(at) if flags.admin.is_none() => report.error(at.spot, make),
            _ => report.error_placed(make),
        }
    } else if let Some(at) = raw.admin_address.filter(|_| flags.admin.is_none() && !is_private(admin)) {
        report.warn(at.spot, || {
            Diagnostic::warning("the admin listener can be reached from other machines")
                .help("whoever reaches it reads rule and generator names and all numbers, without a token")
        });
    }
}

/// Whether only this machine or a network of its own reaches that address.
fn is_private(address: SocketAddr) -> bool {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

fn tokens(raw: Vec<At<Token>>, report: &Report<'_>) -> Vec<Token> {
    let mut seen = HashMap::new();
    for token in &raw {
        if let Some(before) = seen.insert(token.value.name.clone(), token.spot) {
            report.error(token.spot, || {
                Diagnostic::error(format!("a second token {}", quoted(&token.value.name)))
                    .help(format!("the first stands at {}", report.place(before)))
            });
        }
    }
    raw.into_iter().map(|at| at.value).collect()
}

/// What is said of a generator, or of all, over what holds otherwise.
fn judge(raw: &RawJudge, otherwise: &Judge) -> Judge {
    Judge {
        cookie: raw.cookie.unwrap_or(otherwise.cookie),
        route_params: raw.route_params.unwrap_or(otherwise.route_params),
        push_hosts: raw.push_hosts.clone().or_else(|| otherwise.push_hosts.clone()),
        size_share: raw.size_share.unwrap_or(otherwise.size_share),
        size_below: raw.size_below.unwrap_or(otherwise.size_below),
        signature: raw.signature.unwrap_or(otherwise.signature),
    }
}

fn generators(raw: Vec<RawGenerator>, judge: &Judge, report: &Report<'_>) -> Vec<Generator> {
    if let Some(beyond) = raw.get(GENERATORS_MAX) {
        report.error(beyond.spot, || Diagnostic::error(format!("more than {GENERATORS_MAX} generators")));
    }
    let mut seen = HashMap::new();
    for name in raw.iter().filter_map(|generator| generator.name.as_ref()) {
        if let Some(before) = seen.insert(name.value.clone(), name.spot) {
            report.error(name.spot, || {
                Diagnostic::error(format!("a second generator {}", quoted(&name.value)))
                    .help(format!("the first stands at {}", report.place(before)))
            });
        }
    }
    check_canaries(&raw, report);
    raw.into_iter().filter_map(|raw| generator(raw, judge, report)).collect()
}

/// A canary is compared with a version in use.
fn check_canaries(raw: &[RawGenerator], report: &Report<'_>) {
    let known =
        |name: &str| raw.iter().find(|one| one.name.as_ref().is_some_and(|known| known.value == name));
    for generator in raw {
        let Some(of) = &generator.canary_of else {
            if let Some(share) = &generator.canary_share {
                report.error(share.spot, || {
                    Diagnostic::error("`canary-share` without `canary-of`")
                        .help("say of which generator this one is a new version")
                });
            }
            continue;
        };
        match known(&of.value) {
            None => report.error(of.spot, || {
                Diagnostic::error(format!("there is no generator {} to be compared with", quoted(&of.value)))
                    .help("`canary-of` names the `name` of the version in use")
            }),
            // Itself, or one that is a canary, too.
            Some(baseline) if baseline.canary_of.is_some() => report.error(of.spot, || {
                Diagnostic::error(format!("{} is a canary itself", quoted(&of.value)))
                    .help("a canary is compared with a generator that is none")
            }),
            Some(_) => {}
        }
    }
}

fn generator(raw: RawGenerator, judged: &Judge, report: &Report<'_>) -> Option<Generator> {
    let key = raw.key_file.as_ref().map(|at| read_key(at, report));
    for (what, file) in [
        ("the certificates", &raw.ca),
        ("the client certificate", &raw.client_cert),
        ("the key of the client certificate", &raw.client_key),
    ] {
        if let Some(file) = file
            && let Err(why) = fs::File::open(&file.value)
        {
            report.error(file.spot, || Diagnostic::error(format!("{what} cannot be read: {}", reason(&why))));
        }
    }
    let kind = match raw.kind.as_ref()?.value {
        KindWord::StandIn => {
            refuse_surplus(&raw, report);
            GeneratorKind::StandIn
        }
        KindWord::Euler => GeneratorKind::Euler { url: url_of(&raw, "euler", report)? },
        KindWord::Carcabot => GeneratorKind::Carcabot { url: url_of(&raw, "carcabot", report)? },
    };
    let client = client_certificate(&raw, report);
    let name = raw.name?.value;
    let in_flight_max = raw.in_flight_max.and_then(|at| NonZeroU16::new(at.value as u16));
    Some(Generator {
        alias: raw.alias.map_or_else(|| name.clone(), |at| at.value),
        name,
        in_flight_max: in_flight_max.unwrap_or(kind.in_flight_default()),
        kind,
        key: key.flatten(),
        canary: raw.canary_of.map(|of| Canary {
            of: of.value,
            share: raw.canary_share.map_or(Canary::SHARE_DEFAULT, |share| share.value),
        }),
        judge: judge(&raw.judge, judged),
        weight: raw.weight.map_or(1, |at| at.value),
        ca: raw.ca.map(|at| at.value),
        client,
    })
}

/// What only a generator at the other end of a wire has.
fn refuse_surplus(raw: &RawGenerator, report: &Report<'_>) {
    let needless = [
        ("url", raw.url.as_ref().map(|at| at.spot)),
        ("key-file", raw.key_file.as_ref().map(|at| at.spot)),
        ("ca", raw.ca.as_ref().map(|at| at.spot)),
        ("client-cert", raw.client_cert.as_ref().map(|at| at.spot)),
        ("client-key", raw.client_key.as_ref().map(|at| at.spot)),
    ];
    for (field, spot) in needless {
        if let Some(spot) = spot {
            report.error(spot, || {
                Diagnostic::error(format!("a stand-in has no `{field}`: it is built in"))
                    .help("take the line out, or say what `kind` of generator this is")
            });
        }
    }
}

/// The URL of a generator that has to have one, and whether what belongs to TLS goes with it.
fn url_of(raw: &RawGenerator, kind: &str, report: &Report<'_>) -> Option<Url> {
    if !raw.has_url {
        report.error(raw.spot, || {
            Diagnostic::error(format!("a generator of kind `{kind}` has no `url`")).label("`url` is missing")
        });
    }
    let url = &raw.url.as_ref()?.value;
    let of_tls = [("ca", &raw.ca), ("client-cert", &raw.client_cert), ("client-key", &raw.client_key)];
    for (field, at) in of_tls {
        if let Some(at) = at.as_ref().filter(|_| url.scheme() == "http") {
            report.error(at.spot, || {
                Diagnostic::error(format!("`{field}` has no effect: the URL begins with `http://`"))
                    .help("write `https://` where the generator speaks TLS, else take the line out")
            });
        }
    }
    Some(url.clone())
}

/// A certificate without its key shows nobody who we are, and a key belongs to a certificate.
fn client_certificate(raw: &RawGenerator, report: &Report<'_>) -> Option<ClientCertificate> {
    let alone = |at: &At<PathBuf>, has: &str, lacks: &str| {
        report.error(at.spot, || {
            Diagnostic::error(format!("`{has}` without `{lacks}`"))
                .help(format!("a certificate and its private key go together: add `{lacks}`"))
        });
    };
    match (&raw.client_cert, &raw.client_key) {
        (Some(cert), Some(key)) => {
            Some(ClientCertificate { cert: cert.value.clone(), key: key.value.clone() })
        }
        (Some(cert), None) => {
            alone(cert, "client-cert", "client-key");
            None
        }
        (None, Some(key)) => {
            alone(key, "client-key", "client-cert");
            None
        }
        (None, None) => None,
    }
}

/// The one line of a key file. What it holds is in no message.
fn read_key(at: &At<PathBuf>, report: &Report<'_>) -> Option<Secret> {
    let refuse = |why: String| {
        report.error(at.spot, || Diagnostic::error(why));
        None
    };
    let text = match read_bounded(&at.value) {
        Ok(text) => text,
        Err(why) => return refuse(format!("the key file cannot be read: {}", reason(&why))),
    };
    let key = text.trim();
    if key.is_empty() {
        return refuse("the key file is empty".into());
    }
    if text.len() as u64 > KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(format!(
            "the key file holds no key: one line of at most {KEY_BYTES_MAX} visible characters"
        ));
    }
    Some(Secret::new(key))
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(KEY_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What went wrong, without the system's number for it.
fn reason(why: &std::io::Error) -> String {
    match why.kind() {
        ErrorKind::NotFound => "there is no such file".into(),
        ErrorKind::PermissionDenied => "this user may not read it".into(),
        kind => kind.to_string(),
    }
}
