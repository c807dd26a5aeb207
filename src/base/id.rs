//! Names: of accounts, keys, tiers and rules. Cheap to clone, compared by their text.
//!
//! One of up to 23 bytes, as nearly all are, lies in place: whoever has what it names at hand has its name, and waits for no
//! other memory. A longer one is shared.

use std::fmt;

use smol_str::SmolStr;

/// A name may hold at most so many bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Whether `text` may name something: 1 to 64 of letters, digits, `-`, `_`, `.`, `@`. Names appear in logs, labels and
/// URLs, where anything else would need escaping.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@'))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// `None` where [`is_name`] says no.
            pub fn new(text: &str) -> Option<Self> {
                is_name(text).then(|| Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0.as_str())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// An account: the owner of keys, to which quotas attach.
    AccountId
}
name! {
    /// The public id of a key: safe to print, unlike the key itself.
    KeyId
}
name! {
    /// A tier: a named set of limits.
    TierName
}
name! {
    /// A rule of the policy. Counters live under it, so that renaming a rule starts them anew.
    RuleName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        assert!(RuleName::new("rooms-of-a.proxy_2").is_some());
        for bad in ["", "with space", "new\nline", "ümlaut", "a\"b", &"x".repeat(65)] {
            assert_eq!(RuleName::new(bad), None, "{bad:?}");
        }
    }
}
