//! `signgate keys`: API keys, edited in the policy files. A running gateway takes the change within two seconds.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use ipnet::IpNet;

use super::columns::columns;
use super::keys_file::{self, Edit, NewKey};
use super::random;
use super::stdout::{hand_over, print};
use crate::base::id::AccountId;
use crate::base::rate::{LengthText, parse_length};
use crate::base::room::Room;
use crate::base::secret::{KeyHash, key_text};
use crate::base::time::{Clock, Timestamp};
use crate::control::reload::{LoadError, PolicyPlace};
use crate::policy::Sources;
use crate::policy::diagnostic::render;

/// What is done to keys.
#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    /// The policy directory
    #[arg(long, value_name = "DIR", default_value = "./policies", global = true)]
    policies: PathBuf,
    #[command(subcommand)]
    verb: KeysVerb,
}

#[derive(Debug, clap::Subcommand)]
enum KeysVerb {
    /// Make a key for an account; the key itself is printed to stdout, once
    #[command(after_help = super::exit_codes::KEYS)]
    New {
        /// The account that owns it: one that an `[[account]]` table defines
        #[arg(long)]
        account: String,
        /// When it stops being valid: a time (2027-01-01T00:00:00Z) or a length from now (90d)
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// From where it may be used; several times for several
        #[arg(long = "proxy", value_name = "PREFIX")]
        proxies: Vec<IpNet>,
        /// For which room it may be used: its id, or @name; several times for several
        #[arg(long = "room", value_name = "ROOM")]
        rooms: Vec<String>,
    },
    /// List the keys: id, account, state, and where each stands
    #[command(after_help = super::exit_codes::KEYS)]
    List,
    /// Give a key a successor; the old one stays valid for a while, so that its owner's tools can change over
    #[command(after_help = super::exit_codes::KEYS)]
    Rotate {
        /// The key's public id, such as k_7f3a2b4c
        id: String,
        /// How long the old key stays valid
        #[arg(long, value_name = "LENGTH", default_value = "7d")]
        grace: String,
    },
    /// Switch a key off
    #[command(after_help = super::exit_codes::KEYS)]
    Disable {
        /// The key's public id
        id: String,
    },
}

/// Does it.
pub fn run(args: KeysArgs) -> anyhow::Result<ExitCode> {
    let directory = args.policies;
    let sources = PolicyPlace::Directory(directory.clone()).sources().with_context(|| {
        format!("there are no policies in `{}`; name their directory with --policies", directory.display())
    })?;
    let now = Clock::system().now();
    let done = match args.verb {
        KeysVerb::List => {
            list(&sources, now)?;
            return Ok(ExitCode::SUCCESS);
        }
        KeysVerb::New { account, expires, proxies, rooms } => {
            let account =
                AccountId::new(&account).ok_or_else(|| anyhow!("`{account}` cannot be an account's name"))?;
            let rooms =
                rooms.iter().map(|room| Room::parse(room).map_err(|error| anyhow!("`{room}`: {error}")));
            let rooms = rooms.collect::<anyhow::Result<Vec<_>>>()?;
            let expires = expires.map(|when| parse_when(&when, now)).transpose()?;
            let secret = key_text(&random()?);
            let key = NewKey {
                id: keys_file::key_id(random()?),
                hash: KeyHash::of(secret.reveal().as_bytes()),
                account,
                expires,
                proxies,
                rooms,
            };
            keys_file::add(&sources, &key).map(|edit| {
                let said = format!("key `{}` of account `{}` is in", key.id, key.account);
                (edit, said, Some(secret))
            })
        }
        KeysVerb::Rotate { id, grace } => {
            let grace = parse_length(&grace).map_err(|error| anyhow!("`{grace}`: {error}"))?;
            let secret = key_text(&random()?);
            let successor = keys_file::key_id(random()?);
            let hash = KeyHash::of(secret.reveal().as_bytes());
            keys_file::rotate(&sources, &id, &successor, hash, now, now + grace).map(|edit| {
                let grace = LengthText(grace);
                let said = format!(
                    "key `{successor}` follows `{id}`, which stays valid for {grace} at most; both are in"
                );
                (edit, said, Some(secret))
            })
        }
        KeysVerb::Disable { id } => keys_file::disable(&sources, &id)
            .map(|edit| (edit, format!("key `{id}` is switched off in"), None)),
    };
    let (edit, said, secret) = match done {
        Ok(done) => done,
        Err(no) => {
            eprintln!("error: {no}");
            return Ok(ExitCode::from(1));
        }
    };
    write(&directory, &edit)?;
    eprintln!("{said} `{}`", directory.join(&edit.file).display());
    if let Some(secret) = secret {
        eprintln!("this is the only time that the key is shown; the files hold its hash alone:");
        hand_over(&format!("{}\n", secret.reveal())).context(
            "cannot write the key to stdout: nobody has it; `signgate keys disable` switches it off, then make another",
        )?;
    }
    still_good(&directory, now)
}

fn list(sources: &Sources, now: Timestamp) -> anyhow::Result<()> {
    let keys = keys_file::list(sources).map_err(|error| anyhow!("{error}"))?;
    if keys.is_empty() {
        eprintln!("there are no keys; make one with `signgate keys new --account ACCOUNT`");
        return Ok(());
    }
    let rows = keys.iter().map(|key| {
        let mut state = match key.expires {
            _ if key.disabled => "disabled".to_owned(),
            Some(at) if at <= now => format!("expired {at}"),
            Some(at) => format!("valid until {at}"),
            None => "valid".to_owned(),
        };
        if !key.proxies.is_empty() {
            state.push_str(", some proxies");
        }
        if !key.rooms.is_empty() {
            state.push_str(", some rooms");
        }
        [key.id.to_string(), key.account.to_string(), state, key.place.clone()]
    });
    print(&columns(["KEY", "ACCOUNT", "STATE", "WHERE"].map(str::to_owned), rows.collect()))
}

fn parse_when(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let at = Timestamp::parse_rfc3339(text)
        .or_else(|| parse_length(text).ok().map(|length: Duration| now + length));
    match at {
        None => bail!("`{text}` is neither a time such as 2027-01-01T00:00:00Z nor a length such as 90d"),
        Some(at) if at <= now => bail!("`{text}` is over already"),
        Some(at) => Ok(at),
    }
}

/// Writes beside the file and renames: whoever reads it, a gateway that is reloading or one that starts after a power
/// cut, sees the old text or the new one.
fn write(directory: &Path, edit: &Edit) -> anyhow::Result<()> {
    let path = directory.join(&edit.file);
    // Through a symbolic link: what it points at is replaced, not the link.
    let path = fs::canonicalize(&path).unwrap_or(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&beside)?;
        file.write_all(edit.text.as_bytes())?;
        if let Ok(before) = fs::metadata(&path) {
            file.set_permissions(before.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        fs::File::open(path.parent().unwrap_or(directory))?.sync_all()
    };
    write().with_context(|| {
        let _ = fs::remove_file(&beside);
        format!("cannot write `{}`", path.display())
    })
}

/// Says so where the directory as a whole cannot be taken, for reasons of its own.
fn still_good(directory: &Path, now: Timestamp) -> anyhow::Result<ExitCode> {
    match PolicyPlace::Directory(directory.to_owned()).load(now) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(LoadError::Wrong(diagnostics)) => {
            eprint!("{}", render(&diagnostics));
            eprintln!(
                "the key is written, but no gateway takes these policies before the errors above are mended"
            );
            Ok(ExitCode::from(1))
        }
        Err(LoadError::Read(error)) => Err(error.into()),
    }
}
