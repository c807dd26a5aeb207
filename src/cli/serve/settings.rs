//! From the deployment file to what each room wants to be told.

use std::path::Path;

use anyhow::Context;

use crate::admin::AdminSocket;
use crate::admin::door::{Role, Token};
use crate::config::{self, ClientAddress, GeneratorKind, Policies, RecordTo, Settings, SignatureWord, Store};
use crate::control::history::History;
use crate::control::reload::PolicyPlace;
use crate::gateway;
use crate::gateway::address::AddressSource;
use crate::generator::adapters::{Carcabot, Euler, Kind};
use crate::generator::budget::Allowance;
use crate::generator::health;
use crate::generator::judge::{Judge, PushHosts, Rules, Signature, Size};
use crate::generator::member::Generator;
use crate::generator::queue::Bounds;
use crate::generator::settings as asking;
use crate::generator::stage::Wanted;
use crate::generator::trial::Trial;
use crate::generator::wire::{Identity, Origin, Roots};
use crate::telemetry::access_log::{Destination, RecordSettings, Share};

pub(in crate::cli) fn policy_place(policies: &Policies) -> PolicyPlace {
    let directory = &policies.directory;
    if policies.named || directory.is_dir() {
        PolicyPlace::Directory(directory.clone())
    } else {
        PolicyPlace::Shipped
    }
}

/// Former policies are kept beside the store, and forgotten at the end where there is none.
pub(super) fn history(settings: &Settings) -> History {
    match &settings.store {
        Store::File(path) => History::open(path.with_file_name("policies-history")),
        Store::None => History::in_memory(),
    }
}

/// The admin socket. The default one may be missing: a gateway that may write nowhere serves all the same.
pub(super) fn admin_socket(settings: &Settings) -> anyhow::Result<Option<AdminSocket>> {
    let Some(wanted) = &settings.admin.socket else { return Ok(None) };
    match AdminSocket::bind(&wanted.path) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if wanted.named => {
            let help = error.help();
            Err(anyhow::Error::new(error).context(help))
        }
        Err(error) => {
            let source = &error.source;
            tracing::warn!(%source, "{error}, so `signgate reload`, `rollback` and `bans` need a token: {}", error.help());
            Ok(None)
        }
    }
}

pub(super) fn tokens(settings: &Settings) -> Vec<Token> {
    let token = |token: &config::Token| Token {
        name: token.name.clone(),
        hash: token.hash,
        role: match token.role {
            config::Role::Viewer => Role::Viewer,
            config::Role::Operator => Role::Operator,
            config::Role::Admin => Role::Admin,
        },
        expires: token.expires,
    };
    settings.admin.tokens.iter().map(token).collect()
}

pub(super) fn gateway_settings(settings: &Settings) -> gateway::Settings {
    gateway::Settings {
        address_source: match settings.listen.client_address {
            ClientAddress::Peer => AddressSource::Peer,
            ClientAddress::XForwardedFor => AddressSource::XForwardedFor,
            ClientAddress::Forwarded => AddressSource::Forwarded,
            ClientAddress::ProxyProtocol => AddressSource::ProxyProtocol,
        },
        trusted_proxies: settings.listen.trusted_proxies.clone(),
        health_path: settings.listen.health_path.clone(),
    }
}

pub(super) fn record_settings(settings: &Settings) -> RecordSettings {
    let record = &settings.record;
    RecordSettings {
        destination: match &record.to {
            RecordTo::File(path) => Destination::File(path.clone()),
            RecordTo::Stdout => Destination::Stdout,
            RecordTo::None => Destination::None,
        },
        rotate_bytes: record.rotate_bytes,
        keep: record.keep,
        cut_addresses_after: record.cut_addresses_after,
        allowed_share: Share::new(record.allowed_share).unwrap_or(Share::ALL),
    }
}

#[expect(clippy::cast_sign_loss, reason = "a share of a length is not negative")]
pub(super) fn asking(said: &config::Asking) -> asking::Settings {
    let length_max = said.queue_length as usize;
    let per_account = (f64::from(said.queue_length) * said.account_share).round();
    asking::Settings {
        // Saturates; the queue itself sees to it that there is one place at least.
        queue: Bounds { length_max, per_account_max: per_account as usize },
        queue_time: said.queue_time,
        ejection: health::Rules {
            failures_in_a_row: said.failures_in_a_row,
            failure_share: said.failure_share,
            ejected_share_max: said.ejected_share_max,
            eject_for: said.eject_for,
            eject_for_max: said.eject_for_max,
        },
        slow_start: said.slow_start,
        retries: Allowance { share: said.retry_share, per_second: said.retries_per_second },
        hedge: said.hedge,
        trickle: Allowance { share: said.trickle_share, per_second: said.trickle_per_second },
        probe: asking::Probe { room: said.probe_room, url: said.probe_url.clone(), idle: said.probe_idle },
    }
}

pub(in crate::cli) fn wanted_generators(settings: &Settings) -> anyhow::Result<Vec<Wanted>> {
    settings.generators.iter().map(wanted_generator).collect()
}

pub(super) fn wanted_generator(generator: &config::Generator) -> anyhow::Result<Wanted> {
    let name = &generator.name;
    // All that makes it what it is: keys print as `[redacted]`, and files are their contents.
    let mut fingerprint = blake3::Hasher::new();
    fingerprint.update(format!("{generator:?}").as_bytes());
    fingerprint.update(generator.key.as_ref().map_or("", |key| key.reveal()).as_bytes());
    let read = |field: &str, path: &Path| {
        std::fs::read(path)
            .with_context(|| format!("generator `{name}`: cannot read its `{field}` `{}`", path.display()))
    };
    let mut origin = |url: &url::Url| -> anyhow::Result<Origin> {
        let ca = generator.ca.as_ref().map(|path| read("ca", path)).transpose()?;
        let roots = ca.as_deref().map_or(Roots::Native, Roots::Pem);
        let client = generator.client.as_ref();
        let files = client.map(|files| {
            Ok::<_, anyhow::Error>((read("client-cert", &files.cert)?, read("client-key", &files.key)?))
        });
        let files = files.transpose()?;
        for file in
            [&ca, &files.as_ref().map(|(cert, _)| cert.clone()), &files.as_ref().map(|(_, key)| key.clone())]
        {
            fingerprint.update(&file.as_ref().map_or(0, Vec::len).to_le_bytes());
            fingerprint.update(file.as_deref().unwrap_or_default());
        }
        let identity = files.as_ref().map(|(certificates, key)| Identity { certificates, key });
        Origin::parse_as(url.as_str(), roots, identity)
            .with_context(|| format!("generator `{name}`: its `url` or certificates cannot be used"))
    };
    let key = || generator.key.clone();
    let kind = match &generator.kind {
        GeneratorKind::StandIn => Kind::StandIn,
        GeneratorKind::Euler { url } => Kind::Euler(Euler { origin: origin(url)?, key: key() }),
        GeneratorKind::Carcabot { url } => Kind::Carcabot(Carcabot::new(origin(url)?, key())),
    };
    let judge = made_judge(&generator.judge, &kind);
    let in_flight_max = u32::from(generator.in_flight_max.get());
    let made = Generator::new(name, &generator.alias, kind, judge, in_flight_max, generator.weight);
    let generator = match &generator.canary {
        Some(canary) => made.on_trial(Trial::new(&canary.of, canary.share)),
        None => made,
    };
    Ok(Wanted { generator, fingerprint: *fingerprint.finalize().as_bytes() })
}

pub(super) fn made_judge(wanted: &config::Judge, kind: &Kind) -> Judge {
    let push_hosts = match (&wanted.push_hosts, kind.origin()) {
        (Some(hosts), _) => PushHosts::of(hosts.iter().cloned()),
        (None, None) => Judge::of_stand_in().rules().push_hosts.clone(),
        (None, Some(origin)) if origin.is_loopback() => PushHosts::default().and_loopback(),
        (None, Some(_)) => PushHosts::default(),
    };
    Judge::new(Rules {
        cookie: wanted.cookie,
        route_params: wanted.route_params,
        push_hosts,
        size: Size { share: wanted.size_share, below_bytes: wanted.size_below },
        signature: match wanted.signature {
            SignatureWord::Present => Signature::Present,
            SignatureWord::Any => Signature::Any,
            SignatureWord::New => Signature::New,
            SignatureWord::Full => Signature::Full,
        },
    })
}
