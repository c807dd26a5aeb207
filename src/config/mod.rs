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
    let error = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(error)?,
        Err(missing) if missing.kind() == ErrorKind::NotFound && !named => {
            let loaded = parse(DEFAULT_FILE, "", flags)?;
            return Ok(Loaded { file: None, ..loaded });
        }
        Err(source) => return Err(error(source)),
    };
    let name = path.display().to_string();
    let wrong = |message: &str| {
        ConfigError::Wrong(vec![Diagnostic::error(message).in_file(&Arc::from(name.as_str()))])
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong("the file is longer than 1 MiB"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        ConfigError::Wrong(vec![not_utf8(&bytes, error).in_file(&Arc::from(name.as_str()))])
    })?;
    let loaded = parse(&name, text, flags)?;
    Ok(Loaded { file: Some(path.to_owned()), ..loaded })
}

/// As [`load`], of a text; `name` is what complaints call it. Reads the key files that the text names.
pub fn parse(name: &str, text: &str, flags: &Flags) -> Result<Loaded, ConfigError> {
    let report = Report::new(vec![SourceText::new(name.into(), text)]);
    let raw = report.read(0, "the deployment file", file::read);
    let places = raw.as_ref().map(|raw| Places {
        policies: raw.policies.as_ref().filter(|_| flags.policies.is_none()).map(|at| report.place(at.spot)),
        record: raw.record_to.as_ref().map(|at| report.place(at.spot)),
    });
    let settings = raw.map(|raw| settle::settle(raw, flags, &report));
    let failed = report.has_errors();
    let found = report.into_sorted();
    match settings {
        Some(settings) if !failed => {
            Ok(Loaded { settings, warnings: found, file: None, places: places.unwrap_or_default() })
        }
        _ => Err(ConfigError::Wrong(found)),
    }
}
