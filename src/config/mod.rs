//! The deployment file `signgate.toml`: where to listen, what to keep, which generators to ask.
//!
//! What is decided per request stands in the policies; what is decided once per process stands here. The file is read
//! whole and checked whole, flags win over it, it wins over the defaults ([`Settings::default`]), and every complaint
//! names its line. Relative paths are relative to the working directory, in the file as on the command line. Read
//! [`Settings`] first: what everything here is for; then [`load`].

mod file;
pub mod flags;
mod fleet;
mod settings;
mod settle;
#[cfg(test)]
mod tests;

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::policy::diagnostic::{Diagnostic, SourceText, not_utf8};
use crate::policy::reader::Report;

pub use flags::{Flags, GeneratorFlag};
pub use fleet::Asking;
pub use settings::{
    Admin, Canary, ClientAddress, ClientCertificate, Generator, GeneratorKind, Judge, Listen, Policies,
    Record, RecordTo, Role, Settings, SignatureWord, Socket, Store, Token,
};

/// The file that is read where none is named, if there is one.
pub const DEFAULT_FILE: &str = "./signgate.toml";

/// No file of a person is longer.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a process runs with, and what its operator should hear about it.
#[derive(Debug)]
pub struct Loaded {
    /// What to run with.
    pub settings: Settings,
    /// What was probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
    /// Where it names what can only be found missing later.
    pub places: Places,
    /// Its generators, by name, that are not asked, as those of the command line replace them.
    pub replaced: Vec<String>,
}

/// What a file is found to be, as `signgate check` tells it.
#[derive(Debug)]
pub struct Checked {
    /// What is wrong with it, and what was probably not meant, by line.
    pub found: Vec<Diagnostic>,
    /// What to run with; `None` where there is an error among them.
    pub settings: Option<Settings>,
    /// Which policies it names, or the default where it names none; `None` where that cannot be told for its faults.
    pub policies: Option<Policies>,
}

/// Where the file names a path that is in force, as `signgate.toml:12`; `None` where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    /// `[policies] directory`.
    pub policies: Option<String>,
    /// `[record] path`.
    pub record: Option<String>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What it says cannot be used: at least one error, and warnings, by line
    /// ([`render`](crate::policy::diagnostic::render) prints them).
    #[error("the deployment file has errors")]
    Wrong(Vec<Diagnostic>),
}

/// Reads `path`, or without one [`DEFAULT_FILE`] if it exists, and puts the flags over it.
pub fn load(path: Option<&Path>, flags: &Flags) -> Result<Loaded, ConfigError> {
    let (path, named) = path.map_or((Path::new(DEFAULT_FILE), false), |path| (path, true));
    match std::fs::File::open(path) {
        Ok(file) => {
            let text = text_of(path, file)?;
            let loaded = parse(&path.display().to_string(), &text, flags)?;
            Ok(Loaded { file: Some(path.to_owned()), ..loaded })
        }
        Err(missing) if missing.kind() == ErrorKind::NotFound && !named => parse(DEFAULT_FILE, "", flags),
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}

/// Reads a file as [`load`] does, without flags, and goes on where it is wrong.
pub fn check(path: &Path) -> Result<Checked, ConfigError> {
    let file = std::fs::File::open(path);
    let file = file.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    match text_of(path, file) {
        Ok(text) => Ok(read(&path.display().to_string(), &text, &Flags::default()).0),
        Err(ConfigError::Wrong(found)) => Ok(Checked { found, settings: None, policies: None }),
        Err(error) => Err(error),
    }
}

fn text_of(path: &Path, file: std::fs::File) -> Result<String, ConfigError> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let wrong = |wrong: Diagnostic| {
        ConfigError::Wrong(vec![wrong.in_file(&Arc::from(path.display().to_string().as_str()))])
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(Diagnostic::error("the file is longer than 1 MiB")));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(wrong(not_utf8(&bytes, error))),
    }
}

/// As [`load`], of a text; `name` is what complaints call it. Reads the key files that the text names.
pub fn parse(name: &str, text: &str, flags: &Flags) -> Result<Loaded, ConfigError> {
    let (checked, places, replaced) = read(name, text, flags);
    match checked.settings {
        Some(settings) => Ok(Loaded { settings, warnings: checked.found, file: None, places, replaced }),
        None => Err(ConfigError::Wrong(checked.found)),
    }
}

/// All that a text says; the places and the names are as in [`Loaded`].
fn read(name: &str, text: &str, flags: &Flags) -> (Checked, Places, Vec<String>) {
    let report = Report::new(vec![SourceText::new(name.into(), text)]);
    let Some(raw) = report.read(0, "the deployment file", file::read) else {
        let checked = Checked { found: report.into_sorted(), settings: None, policies: None };
        return (checked, Places::default(), Vec::new());
    };
    let places = Places {
        policies: raw.policies.as_ref().filter(|_| flags.policies.is_none()).map(|at| report.place(at.spot)),
        record: raw.record_to.as_ref().map(|at| report.place(at.spot)),
    };
    // A directory that is misspelt must not be taken for none.
    let tells_policies = flags.policies.is_some() || raw.policies.is_some() || !raw.names_policies;
    let (settings, replaced) = settle::settle(raw, flags, &report);
    let policies = tells_policies.then(|| settings.policies.clone());
    let settings = Some(settings).filter(|_| !report.has_errors());
    (Checked { found: report.into_sorted(), settings, policies }, places, replaced)
}
