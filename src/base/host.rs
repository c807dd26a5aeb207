//! Hosts as an operator names them.

/// A host, or all below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: every host.
    Every,
    /// `host.example`: this one.
    Host(Box<str>),
    /// `*.example`: every host below, not the domain itself. Kept with its leading dot.
    Below(Box<str>),
}

impl HostPattern {
    /// Reads one; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_host = |host: &str| {
            let plain = |byte: u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
            };
            !host.is_empty() && host.len() <= 253 && host.bytes().all(plain)
        };
        match text.strip_prefix('*') {
            Some("") => Some(Self::Every),
            Some(below) => {
                (below.starts_with('.') && is_host(&below[1..])).then(|| Self::Below(below.into()))
            }
            None => is_host(text).then(|| Self::Host(text.into())),
        }
    }

    /// Whether it means `host`, in any case.
    pub fn fits(&self, host: &[u8]) -> bool {
        match self {
            Self::Every => true,
            Self::Host(known) => known.as_bytes().eq_ignore_ascii_case(host),
            Self::Below(dotted) => {
                host.len() > dotted.len()
                    && host[host.len() - dotted.len()..].eq_ignore_ascii_case(dotted.as_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "*example", "a*", "*.", "https://x", "a/b", "a b", "*.*.example"] {
            assert_eq!(HostPattern::parse(bad), None, "{bad}");
        }
    }
}
