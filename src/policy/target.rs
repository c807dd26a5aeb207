//! What may be signed: hosts and paths. Everything else is refused before it costs anything.

use super::lists::Pattern;

/// Some hosts, and the paths on them that may be signed.
#[derive(Debug, Clone)]
pub struct Target {
    /// Host names in lower case, matched whole.
    pub hosts: Vec<Box<str>>,
    /// Paths; `*` stands for any run of characters. Matched case-sensitively.
    pub paths: Vec<PathPattern>,
}

impl Target {
    /// Whether a parsed URL's host and path are in it. The host must be in lower case.
    pub fn allows(&self, host: &str, path: &str) -> bool {
        self.hosts.iter().any(|listed| **listed == *host)
            && self.paths.iter().any(|listed| listed.matches(path))
    }
}

/// A path, exact or with a single `*` at its end: `/webcast/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    prefix: Box<str>,
    open: bool,
}

impl PathPattern {
    /// `None` where it does not begin with `/`, is too long, or has a `*` elsewhere than at its end.
    pub fn new(text: &str) -> Option<Self> {
        let (prefix, open) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        let good = text.starts_with('/')
            && text.len() <= Pattern::BYTES_MAX
            && !prefix.contains(['*', '?', '#', '%', '\\']);
        good.then(|| Self { prefix: prefix.into(), open })
    }

    /// As a policy writes it.
    pub fn text(&self) -> String {
        format!("{}{}", self.prefix, if self.open { "*" } else { "" })
    }

    /// Whether all of `path` matches.
    pub fn matches(&self, path: &str) -> bool {
        if self.open { path.starts_with(&*self.prefix) } else { *path == *self.prefix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_matches_whole_hosts_and_paths() {
        let target = Target {
            hosts: vec!["webcast.tiktok.com".into()],
            paths: vec![PathPattern::new("/webcast/*").unwrap(), PathPattern::new("/exact/").unwrap()],
        };
        assert!(target.allows("webcast.tiktok.com", "/webcast/im/fetch/"));
        assert!(target.allows("webcast.tiktok.com", "/exact/"));
        for (host, path) in [
            ("evil.webcast.tiktok.com", "/webcast/im/fetch/"),
            ("webcast.tiktok.com.evil", "/webcast/im/fetch/"),
            ("webcast.tiktok.com", "/webcas"),
            ("webcast.tiktok.com", "/exact/x"),
            ("webcast.tiktok.com", "/"),
        ] {
            assert!(!target.allows(host, path), "{host}{path}");
        }
        for bad in ["webcast/*", "/a*b", "/a?b", "", "/%2e"] {
            assert_eq!(PathPattern::new(bad), None, "{bad}");
        }
    }
}
