//! The proxies, and the generators behind them: each a process of its own, ended when dropped.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::moods::generator::Settings;
use crate::moods::mood::Mood;

/// Which proxy, and how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This gateway.
    Signgate,
    /// `nginx.conf`.
    Nginx,
    /// `haproxy.cfg`.
    Haproxy,
    /// `haproxy-probing.cfg`.
    HaproxyProbing,
}

impl Kind {
    /// As the table says it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Signgate => "signgate",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::HaproxyProbing => "HAProxy, probing",
        }
    }

    const fn settings(self) -> (&'static str, &'static str) {
        match self {
            Self::Signgate => ("signgate.toml", include_str!("signgate.toml")),
            Self::Nginx => ("nginx.conf", include_str!("nginx.conf")),
            Self::Haproxy => ("haproxy.cfg", include_str!("haproxy.cfg")),
            Self::HaproxyProbing => ("haproxy-probing.cfg", include_str!("haproxy-probing.cfg")),
        }
    }
}

/// A process that is ended, by its own handle, when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A proxy that runs.
pub struct Proxy {
    /// Where clients come in.
    pub address: SocketAddr,
    _process: Process,
    /// Where its files are.
    pub folder: TempDir,
}

impl Proxy {
    /// Starts it in front of three generators and waits until it is ready.
    pub fn start(kind: Kind, generators: &[SocketAddr; 3]) -> anyhow::Result<Self> {
        Self::start_with(kind, generators, include_str!("policies.toml"), "")
    }

    /// The same with a policy, and with lines for each generator of `signgate.toml`.
    pub fn start_with(
        kind: Kind,
        generators: &[SocketAddr; 3],
        policy: &str,
        lines: &str,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let (name, template) = kind.settings();
        let mut settings = template
            .replace("{folder}", &folder.path().display().to_string())
            .replace("{port}", &port.to_string());
        for (place, address) in ["{one}", "{two}", "{three}"].into_iter().zip(generators) {
            settings = settings.replace(place, &address.to_string());
        }
        settings = settings.replace("kind = \"euler\"", &format!("kind = \"euler\"\n{lines}"));
        let path = folder.path().join(name);
        std::fs::write(&path, settings)?;
        let mut command = match kind {
            Kind::Signgate => {
                std::fs::create_dir(folder.path().join("policies"))?;
                std::fs::write(folder.path().join("policies/10-open.toml"), policy)?;
                let mut command = Command::new(gateway());
                command.args(["serve", "--store", "none", "--workers", "1", "--config"]).arg(&path);
                command
            }
            Kind::Nginx => {
                let mut command = Command::new("nginx");
                command.arg("-p").arg(folder.path()).arg("-c").arg(&path);
                command
            }
            Kind::Haproxy | Kind::HaproxyProbing => {
                let mut command = Command::new("haproxy");
                command.args(["-db", "-f"]).arg(&path);
                command
            }
        };
        command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process(command.spawn().with_context(|| format!("cannot start {}", kind.title()))?);
        let stderr = BufReader::new(process.0.stderr.take().context("stderr is a pipe")?);
        let address = if kind == Kind::Signgate {
            let mut lines = stderr.lines();
            let mut said = String::new();
            let ready = lines.by_ref().map_while(Result::ok).find_map(|line| {
                said.push_str(&line);
                said.push('\n');
                let (_, address) = line.split_once("ready: listening on http://")?;
                address.split(',').next()?.parse().ok()
            });
            let Some(address) = ready else { bail!("signgate did not become ready and said:\n{said}") };
            // A pipe that nobody reads would hold it up.
            std::thread::spawn(move || lines.for_each(drop));
            address
        } else {
            std::thread::spawn(move || stderr.lines().for_each(drop));
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            (0..100)
                .find(|_| {
                    std::thread::sleep(Duration::from_millis(50));
                    TcpStream::connect(address).is_ok()
                })
                .with_context(|| format!("{} did not start on {address}", kind.title()))?;
            address
        };
        Ok(Self { address, _process: process, folder })
    }
}

/// A port that was free a moment ago: nginx and HAProxy cannot be told to let the system pick.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The gateway's program: of this build, or the one that `SIGNGATE_BIN` names.
pub fn gateway() -> OsString {
    std::env::var_os("SIGNGATE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_signgate").into())
}

/// Three generators in a process of their own.
pub struct Generators {
    /// Where they listen.
    pub addresses: [SocketAddr; 3],
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Process,
}

impl Generators {
    /// Starts this program once more, as three generators.
    pub fn start(settings: Settings) -> anyhow::Result<Self> {
        let Settings { takes, bytes, slots } = settings;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["generators", &takes.as_millis().to_string(), &bytes.to_string(), &slots.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().context("stdin is a pipe")?;
        let mut answers = BufReader::new(child.stdout.take().context("stdout is a pipe")?);
        let process = Process(child);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let addresses: Vec<SocketAddr> =
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let addresses = addresses.try_into().ok().context("three generators say where they listen")?;
        Ok(Self { addresses, orders, answers, _process: process })
    }

    /// Puts them into these moods. How often they have been asked in all, by users and by others.
    pub fn set(&mut self, moods: [Mood; 3]) -> anyhow::Result<[u64; 2]> {
        let words = moods.map(Mood::word).join(" ");
        writeln!(self.orders, "{words}")?;
        self.orders.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let counts: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let of = |place: usize| counts.iter().skip(place).step_by(2).sum();
        Ok([of(0), of(1)])
    }
}

/// Says what is missing, and installs it where it may.
pub fn install() -> anyhow::Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/sick_generators/install");
    let done = Command::new(script).status()?;
    if !done.success() {
        bail!("nginx and HAProxy are needed, or `--proxies signgate`");
    }
    Ok(())
}

/// The versions of what is compared.
pub fn versions(kinds: &[Kind]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let version = |program: &str| {
        let said = Command::new(program).arg("-v").env("PATH", &path).output().ok()?;
        let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        let digits = said.find(|c: char| c.is_ascii_digit())?;
        let end = said[digits..].find(|c: char| !c.is_ascii_digit() && c != '.')?;
        Some(said[digits..digits + end].to_owned())
    };
    let commit = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"])
        .output()
        .ok()
        .filter(|done| done.status.success())
        .map(|done| format!(" ({})", String::from_utf8_lossy(&done.stdout).trim()))
        .unwrap_or_default();
    let mut all = vec![format!("signgate {}{commit}", env!("CARGO_PKG_VERSION"))];
    for (program, title) in [("nginx", "nginx"), ("haproxy", "HAProxy")] {
        if let Some(version) =
            kinds.iter().any(|kind| kind.title().starts_with(title)).then(|| version(program)).flatten()
        {
            all.push(format!("{title} {version}"));
        }
    }
    all.join(", ")
}
