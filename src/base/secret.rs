//! Secrets: keys, sessions, cookies. They print as `[redacted]`, and past the door only their hashes go on.
//!
//! **Why a fast hash is right for our keys.** Slow password hashes (Argon2, bcrypt) exist because people choose guessable
//! passwords. A key of ours holds 200 random bits: nobody can try even a vanishing part of them, however fast the hash is,
//! so slowness would buy nothing and cost CPU on each request, which an attacker could spend for us. BLAKE3 is preimage
//! resistant, and that is the only property needed.

use std::fmt;

/// A secret text that goes to a generator and nowhere else. Prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself. Only for the request that is being sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The BLAKE3 hash of a key: how a policy stores it and how the engine looks it up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Hashes the key as the client sent it: every form is an opaque text, a JWT too.
    pub fn of(key: &[u8]) -> Self {
        Self(*blake3::hash(key).as_bytes())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses `blake3:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("blake3:")?;
        if hex.len() != 64 {
            return None;
        }
        blake3::Hash::from_hex(hex).ok().map(|hash| Self(*hash.as_bytes()))
    }
}

/// As a policy file writes it: `blake3:` and 64 hexadecimal digits.
impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A keyed hash of a session value: tells two sessions apart within one deployment and says nothing else about them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionHash([u8; 16]);

impl SessionHash {
    /// Hashes `session` under the deployment's own key, so that hashes of two deployments cannot be compared.
    pub fn of(deployment_key: &[u8; 32], session: &[u8]) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::keyed_hash(deployment_key, session).as_bytes()[..16]);
        Self(short)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From the 32 hexadecimal digits that [`Display`](fmt::Display) prints.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

/// The value of a hexadecimal digit.
fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

impl fmt::Display for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What every key of ours begins with, so that people and secret scanners recognise one.
pub const KEY_PREFIX: &str = "sg_";

/// Makes a key's text from 25 random bytes: [`KEY_PREFIX`] and 40 characters of base 32 (200 bits).
pub fn key_text(random: &[u8; 25]) -> Secret {
    // RFC 4648 section 6 in lower case: safe in a header, a query and a shell, and nothing to confuse by eye.
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(KEY_PREFIX.len() + 40);
    text.push_str(KEY_PREFIX);
    for group in random.chunks(5) {
        let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            text.push(char::from(ALPHABET[(bits >> (place * 5) & 31) as usize]));
        }
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }

    #[test]
    fn hashes_print_and_parse() {
        let hash = KeyHash::of(b"sg_test");
        assert_eq!(KeyHash::parse(&hash.to_string()), Some(hash));
        for bad in ["", "blake3:", "sha256:00", "blake3:zz", &hash.to_string()[7..]] {
            assert_eq!(KeyHash::parse(bad), None);
        }
        let session = SessionHash::of(&[7; 32], b"sessionid=1");
        assert_eq!(SessionHash::parse(&session.to_string()), Some(session));
        assert_eq!(SessionHash::parse(&session.to_string().to_uppercase()), Some(session));
        assert_ne!(session, SessionHash::of(&[8; 32], b"sessionid=1"));
        for bad in ["", &"0".repeat(31), &format!("+{}", "0".repeat(31)), &"g".repeat(32)] {
            assert_eq!(SessionHash::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn keys_hold_two_hundred_bits() {
        assert_eq!(key_text(&[0; 25]).reveal(), format!("sg_{}", "a".repeat(40)));
        assert_eq!(key_text(&[255; 25]).reveal(), format!("sg_{}", "7".repeat(40)));
    }
}
