//! Which client library asks, as it says itself. Forgeable: it chooses words and headers, and is counted, never trusted.

use std::fmt;

/// A library and its version, from the `User-Agent` and the `client=` parameter (`contract.md` section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Library {
    /// Which one.
    pub name: LibraryName,
    /// Its version, where the user agent tells one.
    pub version: Option<Version>,
}

impl Library {
    /// A client that names no library that we know.
    pub const UNKNOWN: Self = Self { name: LibraryName::Other, version: None };
}

/// A closed set: it labels metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LibraryName {
    /// TikTokLive for Python (`TikTokLive.py/7.0.1`, `client=ttlive-python`).
    Python,
    /// tiktok-live-connector for Node (`tiktok-live-connector/2.5.0 linux`, `client=ttlive-node`).
    Node,
    /// TikTokLiveJava (`client=ttlive-java`).
    Java,
    /// TikTokLiveSharp (`client=ttlive-net`).
    Net,
    /// gotiktoklive (`client=gotiktok_live`).
    Go,
    /// TikTokLiveRust (`client=ttlive-rust`).
    Rust,
    /// Anything else.
    Other,
}

impl LibraryName {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Python, Self::Node, Self::Java, Self::Net, Self::Go, Self::Rust, Self::Other];

    /// The word of the `client=` parameter, which policies, records and metrics use too.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Python => "ttlive-python",
            Self::Node => "ttlive-node",
            Self::Java => "ttlive-java",
            Self::Net => "ttlive-net",
            Self::Go => "gotiktok_live",
            Self::Rust => "ttlive-rust",
            Self::Other => "ttlive-other",
        }
    }

    /// The library of that [`word`](Self::word).
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.word() == word)
    }
}

impl fmt::Display for LibraryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// `major.minor.patch`, as far as policies compare versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version {
    /// The first number.
    pub major: u16,
    /// The second, 0 where left out.
    pub minor: u16,
    /// The third, 0 where left out.
    pub patch: u16,
}

impl Version {
    /// Reads `7`, `7.0` or `7.0.1`; what follows the numbers (`-beta`, ` linux`) is left alone. `None` without a number.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let end = bytes.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.'));
        let mut numbers = bytes[..end.unwrap_or(bytes.len())].split(|byte| *byte == b'.').map(number);
        let major = numbers.next()??;
        let mut next = || numbers.next().flatten().unwrap_or(0);
        Some(Self { major, minor: next(), patch: next() })
    }
}

/// Digits as a number of 16 bits; `None` of none, and beyond.
fn number(digits: &[u8]) -> Option<u16> {
    let value = digits
        .iter()
        .try_fold(0u16, |value, digit| value.checked_mul(10)?.checked_add(u16::from(digit - b'0')));
    value.filter(|_| !digits.is_empty())
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let version = |major, minor, patch| Some(Version { major, minor, patch });
        assert_eq!(Version::parse("7.0.1"), version(7, 0, 1));
        assert_eq!(Version::parse("2.5.0 linux"), version(2, 5, 0));
        assert_eq!(Version::parse("6.6-beta"), version(6, 6, 0));
        assert_eq!(Version::parse("beta"), None);
        assert_eq!(Version::parse("99999.1"), None);
    }
}
