//! `signgate serve`: puts everything together, says what listens where, and runs until told to stop.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::random;
use crate::admin::door::{Role, Token};
use crate::admin::{self, AdminSocket, Door, Shown};
use crate::base::time::Clock;
use crate::config::{
    self, ClientAddress, ConfigError, Flags, GeneratorFlag, GeneratorKind, RecordTo, Settings, SignatureWord,
    Store,
};
use crate::control::desk::{Asked, Desk};
use crate::control::generators::{Generators, Read, Wish};
use crate::control::history::History;
use crate::control::reload::{LoadError, PolicyPlace, Reloader, Start};
use crate::control::sweeper;
use crate::control::watch::Watch;
use crate::engine::Engine;
use crate::engine::book::STRANGERS_MAX_DEFAULT;
use crate::gateway::address::AddressSource;
use crate::gateway::listener::{
    Arrival, CapReached, ConnectionCaps, Deadline, ListenerCounts, ListenerSettings, ListenerThread,
    Violation, serve_listener,
};
use crate::gateway::{self, Live, Shared, Staff, Worker, listener};
use crate::generator::adapters::{Carcabot, Euler, Kind};
use crate::generator::budget::Allowance;
use crate::generator::fleet::Fleet;
use crate::generator::health;
use crate::generator::judge::{Judge, PushHosts, Rules, Signature, Size};
use crate::generator::keeper::Keeper;
use crate::generator::member::Generator;
use crate::generator::queue::Bounds;
use crate::generator::settings as asking;
use crate::generator::stage::{Stage, Wanted};
use crate::generator::trial::Trial;
use crate::generator::wire::{Identity, Origin, Roots};
use crate::policy::PolicySet;
use crate::policy::diagnostic::render;
use crate::telemetry::access_log::{Destination, RecordLog, RecordSettings, Share};
use crate::telemetry::logging;
use crate::telemetry::metrics::{ListenerTotals, Metrics, ViewbotNumbers};
use crate::telemetry::readiness::{Phase, Readiness};

/// How the gateway is run; what is said here wins over the file.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The deployment file [default: ./signgate.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients come in [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where the operator comes in: /metrics, /healthz, /readyz [default: 127.0.0.1:9091]
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// The policy directory [default: ./policies; the shipped set where there is no such folder]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// A signature generator, such as `euler=https://sign.example`; several times for several [default: stand-in]
    #[arg(long = "generator", value_name = "KIND=URL")]
    generators: Vec<GeneratorFlag>,
    /// Where former policy sets are kept for a rollback after a restart, in a folder beside it, or `none`
    #[arg(long, value_name = "PATH")]
    store: Option<Store>,
    /// How many threads serve clients [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroU16>,
}

/// Serves until told to stop.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    logging::init(std::env::var(logging::FILTER_VARIABLE).ok().as_deref())?;
    let flags = Flags {
        listen: args.listen,
        admin: args.admin,
        policies: args.policies,
        generators: args.generators,
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
    let at_start = loaded.settings.clone();
    let again = move || wanted_again(args.config.as_deref(), &flags, &at_start);
    serve(&loaded.settings, loaded.file.as_deref(), Box::new(again))
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

fn serve(settings: &Settings, file: Option<&Path>, again: Read) -> anyhow::Result<ExitCode> {
    let clock = Clock::system();
    let started = clock.now();

    // Policies and generators first: what cannot serve must not listen.
    let place = policy_place(settings);
    let policies = match Start::load(place.clone(), history(settings), started) {
        Ok(policies) => policies,
        Err(LoadError::Wrong(diagnostics)) => {
            eprint!("{}", render(&diagnostics));
            return Ok(ExitCode::from(1));
        }
        Err(error) => return Err(error.into()),
    };
    eprint!("{}", policies.warnings);
    let rules = asking(&settings.asking);
    let stage = Arc::new(Stage::new(wanted_generators(settings)?, rules, started));

    let metrics = Arc::new(Metrics::new(started));
    let readiness = Readiness::new();
    let record =
        Arc::new(RecordLog::open(&record_settings(settings), clock.clone(), metrics.record_counts())?);
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
    let sockets = listener::bind(settings.listen.address, workers).with_context(|| {
        format!(
            "cannot listen on {} for clients: stop what listens there, or choose another address with --listen",
            settings.listen.address
        )
    })?;
    let address = sockets[0].local_addr()?;
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

/// What one worker thread starts with.
struct WorkerParts {
    shared: Arc<Shared>,
    stage: Arc<Stage>,
    record: Arc<RecordLog>,
    seed: [u64; 2],
    settings: Arc<ListenerSettings>,
    caps: Arc<ConnectionCaps>,
    counts: mpsc::Sender<Arc<ListenerCounts>>,
    stopped: watch::Receiver<bool>,
}

/// How often a worker hands its records on.
const TICK: Duration = Duration::from_millis(250);

fn work(socket: std::net::TcpListener, part: WorkerParts) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a worker thread cannot start");
            return;
        }
    };
    LocalSet::new().block_on(&runtime, async {
        let worker = Rc::new(Worker::new(part.shared, part.stage, part.record.recorder(), part.seed));
        worker.warm_up();
        let for_ids = Rc::clone(&worker);
        let thread = ListenerThread::new(part.settings, move || for_ids.next_id());
        let _ = part.counts.send(Arc::clone(thread.counts()));
        // Whoever waits for all workers must see when one of them will not come.
        drop(part.counts);
        let mut ringing = ring_for(worker.staff());
        let ticking = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            let mut ticks = tokio::time::interval(TICK);
            // After a long lag one tick, not a burst of those that were missed.
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                let due = ticks.tick().await;
                ticking.tick(due.elapsed());
                if let Some(staff) = ticking.restaff() {
                    let before = std::mem::replace(&mut ringing, ring_for(staff));
                    tokio::task::spawn_local(async move {
                        tokio::time::sleep(OLD_STAFF).await;
                        before.abort();
                    });
                }
                for place in ticking.due_looks() {
                    let looking = Rc::clone(&ticking);
                    tokio::task::spawn_local(async move { looking.look_at_generator(place).await });
                }
            }
        });
        let for_handler = Rc::clone(&worker);
        let handler = Rc::new(async move |arrival: Arrival<'_>| for_handler.handle(arrival).await);
        if let Err(error) = serve_listener(socket, thread, part.caps, handler, part.stopped).await {
            tracing::error!(%error, "a worker thread cannot accept connections");
        }
        worker.tick(Duration::ZERO);
    });
}

/// No request is under way for longer with the generators that it began with.
const OLD_STAFF: Duration = Duration::from_secs(30);

/// Keeps time for the requests of a staff.
fn ring_for(staff: Rc<Staff>) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_local(async move {
        staff.fleet.keep_time().await;
    })
}

/// How often canaries are compared with their baselines.
const COMPARE: Duration = Duration::from_secs(1);

/// How often it is looked whether a reload has put other generators in force, and who still waits for the old ones.
const LOOK: Duration = Duration::from_millis(50);

/// Looks after the generators until the sender is gone.
fn look_after(
    generators: &Generators,
    metrics: &Arc<Metrics>,
    clock: &Clock,
    seed: u64,
    mut kept: watch::Receiver<()>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "generators cannot be looked after: none is ejected, and no failure is mended");
            return;
        }
    };
    LocalSet::new().block_on(&runtime, async {
        let comparing = async {
            let mut times = tokio::time::interval(COMPARE);
            times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                times.tick().await;
                generators.compare(COMPARE);
            }
        };
        let keeping = async {
            loop {
                let generation = generators.stage().generation();
                let roster = generators.stage().roster();
                let keeper = Keeper::new(Arc::clone(&roster), Arc::clone(metrics));
                let fleet = Rc::new(Fleet::new(roster, seed));
                fleet.warm_up();
                let replaced = async {
                    while generators.stage().generation() == generation {
                        generators.stage().tend_retired(clock.now());
                        tokio::time::sleep(LOOK).await;
                    }
                };
                tokio::select! {
                    () = keeper.run(fleet) => {}
                    () = replaced => {}
                }
            }
        };
        tokio::select! {
            () = comparing => {}
            () = keeping => {}
            _ = kept.changed() => {}
        }
    });
}

/// The signals that are listened for; before, each of them ends the process.
struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = signal(SignalKind::hangup())?;
        drop(entered);
        Ok(Self { runtime, terminate, interrupt, hang_up })
    }

    /// Until SIGTERM or SIGINT. SIGHUP reads policies and generators again and reopens the record.
    fn wait(mut self, desk: &Desk, record: &RecordLog, generators: &Generators) {
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = self.terminate.recv() => return,
                    _ = self.interrupt.recv() => return,
                    _ = self.hang_up.recv() => {
                        record.reopen();
                        desk.again();
                        // What is wrong with them stands in the log; those before stay.
                        let _ = generators.reload("signal");
                    }
                }
            }
        });
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

pub(super) fn policy_place(settings: &Settings) -> PolicyPlace {
    let directory = &settings.policies.directory;
    if settings.policies.named || directory.is_dir() {
        PolicyPlace::Directory(directory.clone())
    } else {
        PolicyPlace::Shipped
    }
}

/// Former policies are kept beside the store, and forgotten at the end where there is none.
fn history(settings: &Settings) -> History {
    match &settings.store {
        Store::File(path) => History::open(path.with_file_name("policies-history")),
        Store::None => History::in_memory(),
    }
}

/// The admin socket. The default one may be missing: a gateway that may write nowhere serves all the same.
fn admin_socket(settings: &Settings) -> anyhow::Result<Option<AdminSocket>> {
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

fn tokens(settings: &Settings) -> Vec<Token> {
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

fn gateway_settings(settings: &Settings) -> gateway::Settings {
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

fn record_settings(settings: &Settings) -> RecordSettings {
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
fn asking(said: &config::Asking) -> asking::Settings {
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

fn wanted_generators(settings: &Settings) -> anyhow::Result<Vec<Wanted>> {
    settings.generators.iter().map(wanted_generator).collect()
}

fn wanted_generator(generator: &config::Generator) -> anyhow::Result<Wanted> {
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

fn made_judge(wanted: &config::Judge, kind: &Kind) -> Judge {
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
            SignatureWord::Any => Signature::Any,
            SignatureWord::New => Signature::New,
            SignatureWord::Full => Signature::Full,
        },
    })
}

/// All threads' numbers together.
fn totals(counts: &[Arc<ListenerCounts>]) -> ListenerTotals {
    let sum = |read: &dyn Fn(&ListenerCounts) -> u64| counts.iter().map(|counts| read(counts)).sum();
    ListenerTotals {
        open: sum(&ListenerCounts::open),
        accepted: sum(&|counts| counts.accepted.get()),
        accept_errors: sum(&|counts| counts.accept_errors.get()),
        refused: CapReached::ALL
            .iter()
            .map(|cap| (cap.label(), sum(&|counts| counts.capped(*cap))))
            .collect(),
        rejected: by_label(
            Violation::ALL
                .iter()
                .map(|violation| (violation.rejection().label, sum(&|counts| counts.violations(*violation)))),
        ),
        deadlines: Deadline::ALL
            .iter()
            .map(|deadline| (deadline.label(), sum(&|counts| counts.deadlines(*deadline))))
            .collect(),
        bytes_in: sum(&|counts| counts.bytes_in.get()),
        bytes_out: sum(&|counts| counts.bytes_out.get()),
    }
}

/// Several violations may share a label; a metric has each once.
fn by_label(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
    let mut sums: std::collections::BTreeMap<&'static str, u64> = std::collections::BTreeMap::new();
    counts.for_each(|(label, count)| *sums.entry(label).or_default() += count);
    sums.into_iter().collect()
}

fn describe_policies(place: &PolicyPlace, policy: &PolicySet) -> String {
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
fn screen(
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
