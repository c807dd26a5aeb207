//! What the command line says over the file.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use super::file::{KindWord, check_url};
use super::settings::{Generator, GeneratorKind, Judge, Store};

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

impl FromStr for GeneratorFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, url) = text.split_once('=').map_or((text, None), |(kind, url)| (kind, Some(url)));
        let kind = KindWord::WORDS.iter().find(|(word, _)| *word == kind).map(|(_, kind)| *kind);
        match (kind, url) {
            (Some(KindWord::StandIn), None | Some("")) => Ok(Self(GeneratorKind::StandIn)),
            (Some(KindWord::StandIn), Some(_)) => Err("the stand-in is built in: it has no URL".into()),
            (Some(KindWord::Euler), Some(url)) => {
                check_url(url).map(|url: Url| Self(GeneratorKind::Euler { url }))
            }
            (Some(KindWord::Carcabot), Some(url)) => {
                check_url(url).map(|url: Url| Self(GeneratorKind::Carcabot { url }))
            }
            _ => Err("expected KIND=URL, such as `euler=https://sign.example`, or `stand-in`".into()),
        }
    }
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
