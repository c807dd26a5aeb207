//! Who may change something: whoever can open the socket, and whoever shows a token over the network.
//!
//! Tokens are compared as BLAKE3 hashes: how long a comparison takes tells something of a hash, which helps nobody to find
//! a token for it. A proxy that fails too often has to wait, without a look at what it shows: `governor` counts, as it
//! does for clients' keys ([`KeyAttempts`]).

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{HeaderMap, StatusCode, header};

use crate::base::net::Prefix;
use crate::base::secret::KeyHash;
use crate::base::time::{Clock, Timestamp, Wait};
use crate::gateway::key_attempts::KeyAttempts;

/// What a token admits to. A later one admits to all that an earlier one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Bans, pardons, switches keys, has policies read again and brought back.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// The word of the deployment file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// A token, as its hash.
#[derive(Debug, Clone)]
pub struct Token {
    /// Whose it is, as the record says it.
    pub name: String,
    /// Its hash.
    pub hash: KeyHash,
    /// What it admits to.
    pub role: Role,
    /// When it stops being valid.
    pub expires: Option<Timestamp>,
}

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    /// The socket: the file system has let it in.
    Socket,
    /// The admin listener.
    Network(IpAddr),
}

/// The tokens, and who failed to show one.
#[derive(Debug)]
pub struct Door {
    tokens: Vec<Token>,
    clock: Clock,
    failures: KeyAttempts,
    failures_since_sweep: AtomicU32,
}

/// Why somebody may not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) wait: Option<Wait>,
}

/// What a failure forgets about is swept after so many of them.
const FAILURES_PER_SWEEP: u32 = 256;

impl Door {
    /// For these tokens; with none, only the socket admits to changes.
    pub fn new(tokens: Vec<Token>, clock: Clock) -> Self {
        Self { tokens, clock, failures: KeyAttempts::default(), failures_since_sweep: AtomicU32::new(0) }
    }

    /// Who that is, as the record says it, where they may do what takes `role`.
    pub(super) fn admit(&self, through: Through, headers: &HeaderMap, role: Role) -> Result<String, Denied> {
        let Through::Network(address) = through else { return Ok("admin socket".into()) };
        if self.tokens.is_empty() {
            return Err(denied(
                StatusCode::FORBIDDEN,
                "no token is set up: use the admin socket on the gateway's own machine, or add an `[[admin.token]]` to \
                 signgate.toml",
            ));
        }
        let (proxy, now) = (Prefix::proxy(address), self.clock.now());
        if let Some(wait) = self.failures.barred(proxy, now) {
            let message = format!("too many wrong tokens from this address: try again in {wait}");
            return Err(Denied { status: StatusCode::TOO_MANY_REQUESTS, message, wait: Some(wait) });
        }
        let Some(shown) = bearer(headers) else {
            // No guess, so it does not count as one.
            return Err(denied(
                StatusCode::UNAUTHORIZED,
                "this takes a token: send `Authorization: Bearer TOKEN`, or use the admin socket",
            ));
        };
        let hash = KeyHash::of(shown);
        let Some(token) = self.tokens.iter().find(|token| token.hash == hash) else {
            self.failed(proxy, now);
            return Err(denied(
                StatusCode::UNAUTHORIZED,
                "the token is unknown: its hash is in no `[[admin.token]]` of signgate.toml",
            ));
        };
        if token.expires.is_some_and(|expires| expires <= now) {
            let message = format!("the token `{}` has expired: give its owner a new one", token.name);
            return Err(denied(StatusCode::UNAUTHORIZED, &message));
        }
        if token.role < role {
            let message = format!(
                "the token `{}` is for the role `{}`, and this takes `{}`",
                token.name,
                token.role.word(),
                role.word()
            );
            return Err(denied(StatusCode::FORBIDDEN, &message));
        }
        Ok(format!("token {}", token.name))
    }

    fn failed(&self, proxy: Prefix, now: Timestamp) {
        self.failures.failed(proxy, now);
        if self.failures_since_sweep.fetch_add(1, Ordering::Relaxed) >= FAILURES_PER_SWEEP {
            self.failures_since_sweep.store(0, Ordering::Relaxed);
            self.failures.sweep(now);
        }
    }
}

fn denied(status: StatusCode, message: &str) -> Denied {
    Denied { status, message: message.to_owned(), wait: None }
}

/// The token of the one `Authorization` header (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn token(name: &str, role: Role, expires: Option<Timestamp>) -> Token {
        Token { name: name.into(), hash: KeyHash::of(format!("sg_{name}").as_bytes()), role, expires }
    }

    fn door(clock: &Clock) -> Door {
        let tokens = vec![
            token("looks", Role::Viewer, None),
            token("works", Role::Operator, Some(NOW + Duration::from_secs(60))),
        ];
        Door::new(tokens, clock.clone())
    }

    fn showing(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    fn from(address: &str) -> Through {
        Through::Network(address.parse().unwrap())
    }

    fn status(answer: Result<String, Denied>) -> u16 {
        answer.map_or_else(|denied| denied.status.as_u16(), |_| 200)
    }

    #[test]
    fn a_token_admits_to_its_role_and_until_it_expires() {
        let clock = Clock::manual(NOW);
        let door = door(&clock);
        let ask = |header: &str, role| status(door.admit(from("192.0.2.1"), &showing(header), role));
        assert_eq!(ask("Bearer sg_looks", Role::Viewer), 200);
        assert_eq!(ask("Bearer sg_looks", Role::Operator), 403);
        assert_eq!(ask("bearer  sg_works", Role::Operator), 200);
        assert_eq!(ask("Bearer sg_works", Role::Admin), 403);
        for wrong in ["Bearer sg_nobody", "Bearer sg_looks2", "Bearer ", "sg_looks", "Basic sg_looks", "x"] {
            assert_eq!(ask(wrong, Role::Viewer), 401, "{wrong}");
        }
        let by = door.admit(from("192.0.2.1"), &showing("Bearer sg_works"), Role::Viewer);
        assert_eq!(by.unwrap(), "token works");
        clock.advance(Duration::from_secs(60));
        assert_eq!(ask("Bearer sg_works", Role::Viewer), 401);
        assert_eq!(status(door.admit(from("192.0.2.1"), &HeaderMap::new(), Role::Viewer)), 401);
        let mut two = showing("Bearer sg_looks");
        two.append(header::AUTHORIZATION, "Bearer sg_works".parse().unwrap());
        assert_eq!(status(door.admit(from("192.0.2.1"), &two, Role::Viewer)), 401, "which of them?");
    }

    #[test]
    fn the_socket_needs_no_token_and_the_network_is_shut_without_one() {
        let door = Door::new(Vec::new(), Clock::manual(NOW));
        assert_eq!(door.admit(Through::Socket, &HeaderMap::new(), Role::Admin).unwrap(), "admin socket");
        let denied = door.admit(from("127.0.0.1"), &showing("Bearer x"), Role::Viewer).unwrap_err();
        assert_eq!(denied.status, 403);
        assert!(denied.message.contains("admin socket") && denied.message.contains("[[admin.token]]"));
    }

    #[test]
    fn whoever_guesses_has_to_wait_even_with_the_right_token() {
        let clock = Clock::manual(NOW);
        let door = door(&clock);
        let ask = |address: &str, token: &str| {
            door.admit(from(address), &showing(&format!("Bearer {token}")), Role::Viewer)
        };
        let statuses: Vec<u16> = (0..22).map(|n| status(ask("192.0.2.1", &format!("sg_{n}")))).collect();
        assert_eq!(statuses[..20], [401; 20]);
        assert_eq!(statuses[20..], [429; 2]);
        let denied = ask("192.0.2.1", "sg_looks").unwrap_err();
        assert_eq!(denied.status, 429);
        assert!(denied.wait.is_some_and(|wait| wait.secs() <= 3));
        assert_eq!(status(ask("192.0.2.2", "sg_looks")), 200, "nobody else waits");
        clock.advance(Duration::from_secs(4));
        assert_eq!(status(ask("192.0.2.1", "sg_looks")), 200);
    }
}
