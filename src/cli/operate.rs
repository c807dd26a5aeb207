//! Asking a running gateway: over its admin socket, or with a token over the network.
//!
//! One request on one connection, the answer read whole and bounded. Plain HTTP only: the admin listener speaks nothing
//! else, and over a network that is not trusted belongs into a tunnel.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use url::Url;

use crate::base::secret::Secret;
use crate::config::{self, ConfigError, Flags, Loaded};
use crate::policy::diagnostic::render;

/// Where a token is, if no file holds it.
const TOKEN_VARIABLE: &str = "SIGNGATE_ADMIN_TOKEN";

/// A gateway answers within that, also one that compiles the largest feeds.
const PATIENCE: Duration = Duration::from_secs(60);

/// No answer is longer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Which gateway, and by which door.
#[derive(Debug, clap::Args)]
pub struct GatewayArgs {
    /// The admin socket of the gateway [default: the one of the deployment file, else ./data/admin.sock]
    #[arg(long, value_name = "PATH", conflicts_with = "admin_url")]
    socket: Option<PathBuf>,
    /// The admin listener of the gateway, such as http://127.0.0.1:9091; takes a token
    #[arg(long, value_name = "URL", value_parser = config::flags::admin_url)]
    admin_url: Option<Url>,
    /// A file that holds the token; else it is read from SIGNGATE_ADMIN_TOKEN
    #[arg(long, value_name = "FILE", requires = "admin_url")]
    token_file: Option<PathBuf>,
    /// The deployment file, which names the socket [default: ./signgate.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What a gateway answered.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl GatewayArgs {
    /// The deployment file, where one is named.
    pub fn config(&self) -> Option<&std::path::Path> {
        self.config.as_deref()
    }

    /// Asks once. An answer of any status is an answer.
    pub fn ask(&self, method: &str, target: &str) -> anyhow::Result<Answered> {
        let bytes = match &self.admin_url {
            Some(url) => self.over_network(url, method, target)?,
            None => self.over_socket(method, target)?,
        };
        parse(&bytes).context("what answered is no admin listener of a gateway")
    }

    fn over_socket(&self, method: &str, target: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.socket_path()?;
        let stream = UnixStream::connect(&path).with_context(|| {
            format!(
                "no gateway answers on the admin socket `{}`: start it, run this in its directory, or name its `--config`, \
                 `--socket` or `--admin-url`",
                std::path::absolute(&path).unwrap_or(path.clone()).display()
            )
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        exchange(stream, &head(method, target, "localhost", None))
    }

    fn socket_path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.socket {
            return Ok(path.clone());
        }
        let loaded = deployment(self.config.as_deref())
            .context("the deployment file names the admin socket; `--socket` does without it")?;
        let socket = loaded.settings.admin.socket;
        socket.map(|socket| socket.path).ok_or_else(|| {
            anyhow!("the deployment file says that there is no admin socket: use `--admin-url` with a token")
        })
    }

    fn over_network(&self, url: &Url, method: &str, target: &str) -> anyhow::Result<Vec<u8>> {
        if url.scheme() != "http" {
            bail!("`--admin-url` begins with `http://`: the admin listener speaks no TLS, use a tunnel");
        }
        let (Some(host), port) = (url.host_str(), url.port().unwrap_or(80)) else {
            bail!("`--admin-url` names no host");
        };
        let token = self.token()?;
        // The brackets of an IPv6 address are for URLs alone.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (bare, port).to_socket_addrs().with_context(|| format!("cannot find `{host}`"))?;
        let mut failed = anyhow!("`{host}` has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    let prefix = url.path().trim_end_matches('/');
                    let target = format!("{prefix}{target}");
                    return exchange(stream, &head(method, &target, &format!("{host}:{port}"), Some(&token)));
                }
                Err(error) => failed = anyhow!(error).context(format!("no gateway answers at {address}")),
            }
        }
        Err(failed)
    }

    fn token(&self) -> anyhow::Result<Secret> {
        let text = match &self.token_file {
            Some(path) => {
                let mut text = String::new();
                std::fs::File::open(path)
                    .and_then(|file| file.take(4096).read_to_string(&mut text))
                    .with_context(|| format!("cannot read the token in `{}`", path.display()))?;
                text
            }
            None => std::env::var(TOKEN_VARIABLE).map_err(|_| {
                anyhow!("`--admin-url` takes a token: in a `--token-file`, or in {TOKEN_VARIABLE}")
            })?,
        };
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("a token is one line of visible characters");
        }
        Ok(Secret::new(token))
    }
}

/// The deployment file's settings. What is wrong with it goes to stderr first, by line.
pub(super) fn deployment(file: Option<&Path>) -> anyhow::Result<Loaded> {
    config::load(file, &Flags::default()).map_err(|error| {
        if let ConfigError::Wrong(found) = &error {
            eprintln!("{}", render(found));
        }
        error.into()
    })
}

fn head(method: &str, target: &str, host: &str, token: Option<&Secret>) -> String {
    let mut head =
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n");
    if let Some(token) = token {
        let _ = write!(head, "Authorization: Bearer {}\r\n", token.reveal());
    }
    head.push_str("\r\n");
    head
}

fn exchange(mut stream: impl Read + Write, head: &str) -> anyhow::Result<Vec<u8>> {
    stream.write_all(head.as_bytes()).context("the gateway did not take the question")?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).context("the gateway did not answer to the end")?;
    Ok(bytes)
}

/// A whole answer with a length, and JSON in it: all that the admin listener sends.
fn parse(bytes: &[u8]) -> anyhow::Result<Answered> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else { bail!("the answer was cut") };
    let status = response.code.unwrap_or_default();
    let body = serde_json::from_slice(&bytes[length..]).context("the answer is not JSON")?;
    Ok(Answered { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_rubbish_is_not() {
        let answered = parse(b"HTTP/1.1 409 Conflict\r\ncontent-length: 13\r\n\r\n{\"code\":409}\n").unwrap();
        assert_eq!((answered.status, answered.body["code"].as_u64()), (409, Some(409)));
        for rubbish in ["", "HTTP/1.1 200", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n<html>"] {
            assert!(parse(rubbish.as_bytes()).is_err(), "{rubbish}");
        }
    }

    #[test]
    fn a_token_goes_into_its_header_alone() {
        let head = head("POST", "/policies/reload", "h:1", Some(&Secret::new("sg_x")));
        assert!(head.ends_with("Authorization: Bearer sg_x\r\n\r\n"), "{head}");
        assert_eq!(head.matches("sg_x").count(), 1);
    }
}
