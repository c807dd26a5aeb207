//! `signgate serve`: puts everything together, says what listens where, and runs until told to stop.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::watch;

use super::random;
use crate::admin::{self, Door, Shown};
use crate::base::time::Clock;
use crate::config::{
    self, ClientAddress, ConfigError, Flags, GeneratorFlag, Loaded, RecordTo, Settings, Store,
};
use crate::control::desk::{Asked, Desk};
use crate::control::generators::{Generators, Read, Wish};
use crate::control::reload::{LoadError, Reloader, Start};
use crate::control::sweeper;
use crate::control::watch::Watch;
use crate::engine::Engine;
use crate::engine::book::STRANGERS_MAX_DEFAULT;
use crate::gateway::listener::{ConnectionCaps, ListenerCounts, ListenerSettings};
use crate::gateway::{Live, Shared, listener};
use crate::generator::stage::Stage;
use crate::policy::diagnostic::{quoted_list, render};
use crate::telemetry::access_log::{Event, RecordLog, START};
use crate::telemetry::logging;
use crate::telemetry::metrics::{Metrics, ViewbotNumbers};
use crate::telemetry::readiness::{Phase, Readiness};

mod screen;
mod settings;
mod signals;
mod threads;

use screen::{describe_policies, screen};
pub(super) use settings::policy_place;
pub(super) use settings::wanted_generators;
use settings::{admin_socket, asking, gateway_settings, history, record_settings, tokens};
use signals::Signals;
use threads::{WorkerParts, look_after, totals, work};

/// How the gateway is run; what is said here wins over the file.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The deployment file [default: ./signgate.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients come in [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = config::flags::address)]
    listen: Option<SocketAddr>,
    /// Where the operator comes in: /metrics, /healthz, /readyz [default: 127.0.0.1:9091]
    #[arg(long, value_name = "ADDR", value_parser = config::flags::address)]
    admin: Option<SocketAddr>,
    /// The policy directory [default: ./policies; the shipped set where there is no such folder]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// A signature generator, such as `euler=https://sign.example`; several times for several [default: stand-in]
    #[arg(long = "generator", value_name = "KIND=URL")]
    // A text, and read after clap: it would repeat the whole value, with whatever key somebody wrote into it.
    generators: Vec<String>,
    /// Where former policy sets are kept for a rollback after a restart, in a folder beside it, or `none`
    #[arg(long, value_name = "PATH")]
    store: Option<Store>,
    /// How many threads serve clients [default: one per core]
    #[arg(long, value_name = "N", value_parser = config::flags::workers)]
    workers: Option<NonZeroU16>,
}

/// Serves until told to stop.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    logging::init(std::env::var(logging::FILTER_VARIABLE).ok().as_deref())?;
    let flags = Flags {
        listen: args.listen,
        admin: args.admin,
        policies: args.policies,
        generators: generator_flags(&args.generators)?,
        store: args.store,
        workers: args.workers,
    };
    let loaded = match config::load(args.config.as_deref(), &flags) {
        Ok(loaded) => loaded,
        Err(ConfigError::Wrong(diagnostics)) => {
            eprint!("{}", render(&diagnostics));
            return Ok(ExitCode::from(1));
        }
        Err(error) => return Err(error.into()),
    };
    eprint!("{}", render(&loaded.warnings));
    note_replaced(&loaded);
    let at_start = loaded.settings.clone();
    let again = move || wanted_again(args.config.as_deref(), &flags, &at_start);
    serve(&loaded, Box::new(again))
}

/// Reads `--generator`, each told by its place where it is wrong.
fn generator_flags(texts: &[String]) -> anyhow::Result<Vec<GeneratorFlag>> {
    let read = |(place, text): (usize, &String)| {
        let which = match texts.len() {
            1 => "`--generator`".to_owned(),
            _ => format!("`--generator` number {}", place + 1),
        };
        text.parse().map_err(|why: String| anyhow!("{which}: {why}"))
    };
    texts.iter().enumerate().map(read).collect()
}

/// Says that the generators of the command line replace those of the file, where it has any.
fn note_replaced(loaded: &Loaded) {
    let (Some(file), [_, ..]) = (&loaded.file, &loaded.replaced[..]) else { return };
    eprintln!(
        "note: `--generator` replaces the `[[generator]]` tables of `{}`: {} {} not asked",
        file.display(),
        quoted_list(loaded.replaced.iter().map(String::as_str)),
        if loaded.replaced.len() == 1 { "is" } else { "are" }
    );
}

/// What the deployment file wants of generators now; what is wrong with it, as a person reads it.
fn wanted_again(config: Option<&Path>, flags: &Flags, at_start: &Settings) -> Result<Wish, String> {
    match config::load(config, flags) {
        Ok(loaded) => Ok(Wish {
            generators: wanted_generators(&loaded.settings).map_err(|error| format!("{error:#}"))?,
            asking: asking(&loaded.settings.asking),
            waits: waits_for_a_start(at_start, &loaded.settings),
        }),
        Err(ConfigError::Wrong(diagnostics)) => Err(render(&diagnostics)),
        Err(ConfigError::Read { path, source }) => Err(format!("cannot read `{}`: {source}", path.display())),
    }
}

/// What a reload does not change, a line for each table of it that is another now: sockets, files and threads stay.
fn waits_for_a_start(before: &Settings, now: &Settings) -> Vec<String> {
    // Exhaustive, so that whatever is added is either taken over by a reload or named here.
    let Settings { listen, admin, policies, store, record, asking: _, generators: _, workers } = before;
    let changed = [
        ("[listen]", *listen != now.listen),
        ("[admin]", *admin != now.admin),
        ("[policies]", *policies != now.policies),
        ("[store]", *store != now.store),
        ("[record]", *record != now.record),
        ("workers", *workers != now.workers),
    ];
    let changed = changed.into_iter().filter(|(_, changed)| *changed);
    changed
        .map(|(table, _)| {
            format!("`{table}` is not what it was: it is read at the start only, restart for it")
        })
        .collect()
}

fn serve(loaded: &Loaded, again: Read) -> anyhow::Result<ExitCode> {
    let (settings, file) = (&loaded.settings, loaded.file.as_deref());
    let clock = Clock::system();
    let started = clock.now();

    // Policies and generators first: what cannot serve must not listen.
    let place = policy_place(&settings.policies);
    let policies = match Start::load(place.clone(), history(settings), started) {
        Ok(policies) => policies,
        Err(LoadError::Wrong(diagnostics)) => {
            eprint!("{}", render(&diagnostics));
            return Ok(ExitCode::from(1));
        }
        Err(LoadError::Read(error)) => {
            let directory = &settings.policies.directory;
            return Err(named(error, "[policies] directory", loaded.places.policies.as_deref(), directory));
        }
    };
    eprint!("{}", policies.warnings);
    let rules = asking(&settings.asking);
    let stage = Arc::new(Stage::new(wanted_generators(settings)?, rules, started));

    let metrics = Arc::new(Metrics::new(started));
    let readiness = Readiness::new();
    let record = RecordLog::open(&record_settings(settings), clock.clone(), metrics.record_counts());
    let record = Arc::new(record.map_err(|error| match &settings.record.to {
        RecordTo::File(path) => named(error, "[record] path", loaded.places.record.as_deref(), path),
        RecordTo::Stdout | RecordTo::None => error.into(),
    })?);
    let mut screen_policies = describe_policies(&place, &policies.policy);
    if policies.rolled_back {
        screen_policies.push_str(", as rolled back to: the files on disk are passed over");
    }
    let (policy, rest) = policies.split();
    let live = Live::new(policy, &metrics, 1);
    let shared = Arc::new(Shared::new(
        Engine::new(STRANGERS_MAX_DEFAULT, u64::from_le_bytes(random()?)),
        live,
        clock,
        Arc::clone(&metrics),
        gateway_settings(settings),
        random()?,
    ));
    let generators = Arc::new(Generators::new(
        Arc::clone(&stage),
        again,
        Arc::clone(&record),
        Arc::clone(&metrics),
        readiness.clone(),
        shared.clock.clone(),
    ));
    let (ask, asked) = mpsc::channel();
    let desk = Desk::new(ask.clone());
    let watch = match Watch::new(ask.clone()) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(%error, "changes of policies cannot be watched, they are seen within two seconds instead");
            None
        }
    };
    let reloader = Reloader::new(rest, watch, Arc::clone(&shared), readiness.clone(), Arc::clone(&record));

    let admin_listener = admin::bind(settings.admin.address).map_err(|error| {
        let help = error.help();
        anyhow::Error::new(error).context(help)
    })?;
    let admin_address = admin_listener.local_addr()?;
    let admin_socket = admin_socket(settings)?;
    let workers = settings.workers.map_or_else(cores, |workers| usize::from(workers.get()));
    let sockets = listener::bind(settings.listen.address, workers).map_err(|error| {
        let what = format!(
            "cannot listen on {} for clients: {}",
            settings.listen.address,
            listen_help(error.kind())
        );
        anyhow::Error::new(error).context(what)
    })?;
    let address = sockets[0].local_addr()?;
    // Before anybody can order anything.
    record.event(&Event {
        time: shared.clock.now(),
        seq: 0,
        event: START,
        policy: Some(shared.live.load().policy.digest()),
        order: None,
        detail: Some(concat!("signgate ", env!("CARGO_PKG_VERSION"))),
    });
    let shown = Shown {
        metrics: Arc::clone(&metrics),
        readiness: readiness.clone(),
        desk: desk.clone(),
        door: Arc::new(Door::new(tokens(settings), shared.clock.clone())),
        record: Arc::clone(&record),
        clock: shared.clock.clone(),
        generators: Arc::clone(&generators),
        gateway: Arc::clone(&shared),
    };
    let admin_thread = admin::start(admin_listener, admin_socket, shown)?;

    // The data path.
    let (stop, stopped) = watch::channel(false);
    let listener_settings = Arc::new(ListenerSettings {
        proxy_protocol: settings.listen.client_address == ClientAddress::ProxyProtocol,
        trusted_proxies: settings.listen.trusted_proxies.clone(),
        ..ListenerSettings::default()
    });
    let caps = ConnectionCaps::new(listener_settings.caps);
    let (counts_sender, counts) = mpsc::channel();
    let mut threads = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        let seed = [u64::from_le_bytes(random()?), u64::from_le_bytes(random()?)];
        let part = WorkerParts {
            shared: Arc::clone(&shared),
            stage: Arc::clone(&stage),
            record: Arc::clone(&record),
            seed,
            settings: Arc::clone(&listener_settings),
            caps: Arc::clone(&caps),
            counts: counts_sender.clone(),
            stopped: stopped.clone(),
        };
        let thread = thread::Builder::new().name(format!("worker-{number}"));
        threads.push(thread.spawn(move || work(socket, part))?);
    }
    drop(counts_sender);
    // A worker that cannot start sends none, and hangs up.
    let counts: Vec<Arc<ListenerCounts>> = counts.iter().take(threads.len()).collect();
    if counts.len() < threads.len() {
        return Err(anyhow!("a worker thread cannot start; see the log"));
    }
    metrics.workers(counts.len());
    metrics.read_listener(move || totals(&counts));
    // The gateway holds the metrics: the other way round it only looks.
    let for_metrics = Arc::downgrade(&shared);
    metrics.read_viewbot(move || {
        let shared = for_metrics.upgrade()?;
        let live = shared.live.load();
        Some(ViewbotNumbers::read(&shared.engine, live.policy.viewbot(), shared.clock.now()))
    });

    // Beside it.
    let (keep, kept) = watch::channel(());
    let seed = u64::from_le_bytes(random()?);
    let keeper = thread::Builder::new().name("generators".into()).spawn({
        let (generators, metrics, clock) =
            (Arc::clone(&generators), Arc::clone(&metrics), shared.clock.clone());
        move || look_after(&generators, &metrics, &clock, seed, kept)
    })?;
    let reloader = thread::Builder::new().name("policies".into()).spawn(move || reloader.run(&asked))?;
    let (sweep, swept) = mpsc::channel();
    let for_sweeper = Arc::clone(&shared);
    let sweeper =
        thread::Builder::new().name("sweeper".into()).spawn(move || sweeper::run(&for_sweeper, &swept))?;

    // Whoever reads that it is ready may signal at once.
    let signals = Signals::listen()?;
    readiness.enter(Phase::Ready);
    let screen = screen(settings, file, &screen_policies, address, admin_address, workers);
    let _ = write!(std::io::stderr().lock(), "{screen}");

    signals.wait(&desk, &record, &generators);

    tracing::info!("stopping: requests under way are finished first");
    readiness.enter(Phase::Stopping);
    let _ = stop.send(true);
    let mut failed = false;
    for thread in threads {
        failed |= thread.join().is_err();
    }
    let _ = ask.send(Asked::Stop);
    drop((sweep, keep));
    failed |= reloader.join().is_err() | sweeper.join().is_err() | keeper.join().is_err();
    if !record.close(Duration::from_secs(5)) {
        tracing::error!("the access record could not be written to its end within five seconds");
    }
    admin_thread.stop();
    if failed { Err(anyhow!("a thread had failed; see the log")) } else { Ok(ExitCode::SUCCESS) }
}

/// What to do where clients cannot be listened for.
fn listen_help(why: ErrorKind) -> &'static str {
    match why {
        ErrorKind::AddrInUse => {
            "another process listens there: stop it, or choose another address with `--listen` or `address` in `[listen]`"
        }
        ErrorKind::PermissionDenied => {
            "this user may not listen there: choose a port from 1024 on with `--listen` or `address` in `[listen]`"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose one that it has with `--listen` or `address` in `[listen]`"
        }
        _ => "choose another address with `--listen` or `address` in `[listen]`",
    }
}

/// Why a path cannot be used, with the line that names it and the directory that it is relative to.
fn named(
    error: impl std::error::Error + Send + Sync + 'static,
    what: &str,
    place: Option<&str>,
    path: &Path,
) -> anyhow::Error {
    let Some(place) = place else { return error.into() };
    let from = match std::env::current_dir() {
        Ok(from) if path.is_relative() => format!(", relative to `{}`", from.display()),
        _ => String::new(),
    };
    anyhow::Error::new(error).context(format!("`{what}` at {place}{from}"))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
