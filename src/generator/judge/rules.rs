//! What an answer is asked for: safe values for everybody, to be changed in `signgate.toml` for all or one generator.

use std::net::IpAddr;

use crate::base::host::HostPattern;

/// What an answer is asked for. [`Default`] is what holds where the deployment file says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Whether a connect must bring `X-Set-TT-Cookie: name=value`.
    pub cookie: bool,
    /// Whether a connect must bring route parameters: Python cannot go on without.
    pub route_params: bool,
    /// To which hosts a connect may lead.
    pub push_hosts: PushHosts,
    /// When an answer is too small.
    pub size: Size,
    /// What a signed URL must carry.
    pub signature: Signature,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            cookie: true,
            route_params: true,
            push_hosts: PushHosts::default(),
            size: Size::default(),
            signature: Signature::Any,
        }
    }
}

/// When an answer is too small: below `share` of what only one in ten of this generator's answers to the same operation
/// undercuts, and below `below_bytes` as well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// From 0 (never) to 1.
    pub share: f64,
    /// An answer of so many bytes is never too small, whatever is usual. A stub is one of a few hundred.
    pub below_bytes: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { share: 0.25, below_bytes: 1024 }
    }
}

/// What a signed URL must carry. Of these parameters each that is there must look like one, but with
/// [`Present`](Self::Present); they differ in which must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signature {
    /// Any parameter that was not asked for, of whatever name, length and alphabet: for the day on which the platform changes what
    /// a signature looks like. A word that scripts write where they have nothing, such as `undefined`, is none.
    Present,
    /// `X-Bogus`, `X-Gnarly` or the older `_signature`.
    #[default]
    Any,
    /// `X-Bogus` and `X-Gnarly`.
    New,
    /// `X-Bogus`, `X-Gnarly` and `msToken`, without which Python cannot use it.
    Full,
}

/// Hosts to which a connect may lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushHosts {
    patterns: Box<[HostPattern]>,
    /// Whether it may lead to the machine that it runs on.
    loopback: bool,
}

/// TikTok's own: a burnt generator's stub leads elsewhere.
const TIKTOK: [&str; 6] =
    ["*.tiktok.com", "*.tiktokv.com", "*.tiktokv.us", "*.tiktokv.eu", "*.tiktokw.us", "*.tiktokw.eu"];

impl Default for PushHosts {
    /// TikTok's.
    fn default() -> Self {
        Self::of(TIKTOK.into_iter().filter_map(HostPattern::parse))
    }
}

impl PushHosts {
    /// Those that any of `patterns` fits.
    pub fn of(patterns: impl IntoIterator<Item = HostPattern>) -> Self {
        Self { patterns: patterns.into_iter().collect(), loopback: false }
    }

    /// Beside those, addresses of this machine: of a generator that runs here, whose test push server does, too.
    #[must_use]
    pub fn and_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Whether `host` is among them; without port, an IPv6 address in its brackets.
    pub fn admit(&self, host: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| pattern.fits(host)) || self.loopback && is_loopback(host)
    }
}

fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_whole_and_from_their_end() {
        let hosts = PushHosts::default();
        for good in ["webcast-ws.tiktok.com", "WEBCAST16-ws-useast1a.us.TIKTOKV.com", "a.tiktokv.us"] {
            assert!(hosts.admit(good.as_bytes()), "{good}");
        }
        for bad in [
            "tiktok.com.evil.example",
            "eviltiktok.com",
            "tiktok.com",
            ".tiktok.com",
            "",
            "127.0.0.1",
            "localhost",
        ] {
            assert!(!hosts.admit(bad.as_bytes()), "{bad}");
        }
        let here = hosts.and_loopback();
        for good in ["127.0.0.1", "127.1.2.3", "[::1]", "localhost", "x.tiktok.com"] {
            assert!(here.admit(good.as_bytes()), "{good}");
        }
        assert!(!here.admit(b"128.0.0.1") && !here.admit(b"[::2]") && !here.admit(b"\xff"));
        assert!(PushHosts::of(HostPattern::parse("*")).admit(b"anything"));
        assert!(PushHosts::of(HostPattern::parse("push.example")).admit(b"Push.example"));
    }
}
