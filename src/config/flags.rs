//! What the command line says over the file.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use super::file::{KindWord, check_url, without_scheme};
use super::settings::{Generator, GeneratorKind, Judge, Store};
use crate::policy::diagnostic::{Diagnostic, quoted, quoted_list};

/// What was said on the command line; what was not is left to the file.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin`.
    pub admin: Option<SocketAddr>,
    /// `--policies`.
    pub policies: Option<PathBuf>,
    /// `--generator`, in their order; one is enough to replace all of the file's.
    pub generators: Vec<GeneratorFlag>,
    /// `--store`.
    pub store: Option<Store>,
    /// `--workers`.
    pub workers: Option<NonZeroU16>,
}

/// One `--generator KIND=URL`; of the stand-in, the kind alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratorFlag(GeneratorKind);

/// What is wrong never holds what was written, for people put keys into URLs: clap, which says it, must not read this.
impl FromStr for GeneratorFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, url) = text.split_once('=').map_or((text, None), |(kind, url)| (kind, Some(url)));
        let kind = KindWord::WORDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
        match (kind, url) {
            (Some(KindWord::StandIn), None | Some("")) => Ok(Self(GeneratorKind::StandIn)),
            (Some(KindWord::StandIn), Some(_)) => Err("the stand-in is built in: it has no URL".into()),
            (Some(KindWord::Euler), Some(url)) => check_url(url)
                .map(|url: Url| Self(GeneratorKind::Euler { url }))
                .map_err(|why| why.to_string()),
            (Some(KindWord::Carcabot), Some(url)) => check_url(url)
                .map(|url: Url| Self(GeneratorKind::Carcabot { url }))
                .map_err(|why| why.to_string()),
            (None, Some(_)) => {
                let known = quoted_list(KindWord::WORDS.iter().map(|(word, _)| *word));
                // A URL that was written without a kind may have a `=` as well.
                let is_word =
                    word.len() <= 16 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
                let told = if is_word { quoted(word) } else { "of that name".into() };
                Err(format!("there is no kind of generator {told}: expected {known}"))
            }
            _ => Err("expected KIND=URL, such as `euler=https://sign.example`, or `stand-in`".into()),
        }
    }
}

/// Reads `--listen` and `--admin`, with the words that the file's reader has for it.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    super::file::address(text).map_err(|wrong| in_one_line(&wrong))
}

/// Reads `--workers`.
pub fn workers(text: &str) -> Result<NonZeroU16, String> {
    text.parse().map_err(|_| format!("expected a whole number from 1 to {}", u16::MAX))
}

/// Reads an address of `--client`.
pub fn client(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "expected an IP address, such as `203.0.113.7` or `2001:db8::7`".to_owned())
}

/// Reads `--admin-url`.
pub fn admin_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if url.has_host() => Ok(url),
        _ => Err(match without_scheme(text) {
            Some(authority) => format!("a URL begins with `http://`: write `http://{authority}`"),
            None => "expected a URL such as `http://127.0.0.1:9091`".into(),
        }),
    }
}

/// clap says what was written before these words.
fn in_one_line(wrong: &Diagnostic) -> String {
    let help = wrong.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{}{help}", wrong.label)
}

/// The generators of the flags, named after their kinds: `euler`, `euler-2`.
pub(super) fn generators(flags: &[GeneratorFlag], judge: &Judge) -> Vec<Generator> {
    let mut made: Vec<Generator> = Vec::new();
    for GeneratorFlag(kind) in flags {
        let like = made.iter().filter(|generator| generator.kind.word() == kind.word()).count();
        let name = if like == 0 { kind.word().to_owned() } else { format!("{}-{}", kind.word(), like + 1) };
        let in_flight_max = kind.in_flight_default();
        made.push(Generator {
            name: name.clone(),
            alias: name,
            kind: kind.clone(),
            in_flight_max,
            judge: judge.clone(),
            ..Generator::stand_in()
        });
    }
    made
}
