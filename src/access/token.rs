//! Tokens: `mst_<id>_<secret>`, of which only the SHA-256 is kept.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::is_id;

const PREFIX: &str = "mst_";
/// 256 bits, as hexadecimal digits.
const SECRET_DIGITS: usize = 64;

/// A random secret of 256 bits, as text. Nothing prints it but [`Secret::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new one, from the system's generator.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self(hex(&bytes)))
    }

    /// The text itself, for whom it is meant.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A token, taken apart.
pub struct Token<'a> {
    /// Whom it claims to be of.
    pub id: &'a str,
}

impl<'a> Token<'a> {
    /// A new token of a principal, as text.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn mint(id: &str) -> std::io::Result<Secret> {
        let secret = Secret::random()?;
        Ok(Secret(format!("{PREFIX}{id}_{}", secret.reveal())))
    }

    /// A token by its form.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (is_id(id) && secret.len() == SECRET_DIGITS && secret.bytes().all(hex)).then_some(Self { id })
    }
}

/// The SHA-256 of a token or of a session's secret. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of no token at all: what a token of nobody is compared with.
    pub const NOBODY: Self = Self([0; 32]);

    /// Of this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether both are the same, in a time that says nothing.
    #[must_use]
    pub fn is(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Enough of it to tell two apart.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({}…)", hex(&self.0[..4]))
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        unhex(&text).map(Self).ok_or_else(|| serde::de::Error::custom("is no SHA-256; it has 64 hexadecimal digits"))
    }
}

/// Whether both are the same, in a time that says nothing but how long they are.
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// As hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// 32 bytes of 64 hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let (mut bytes, digits) = ([0; 32], text.as_bytes());
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_shown_by_nothing() {
        let text = Token::mint("desk-fire-2").unwrap();
        assert_eq!(Token::parse(text.reveal()).unwrap().id, "desk-fire-2");
        assert_eq!(text.reveal().len(), "mst_desk-fire-2_".len() + 64);
        assert_ne!(text, Token::mint("desk-fire-2").unwrap());
        assert_eq!(format!("{text:?}"), "Secret(…)");
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let secret = "0".repeat(64);
        for wrong in [
            String::new(),
            secret.clone(),
            format!("mst_{secret}"),
            format!("mst__{secret}"),
            format!("mst_a b_{secret}"),
            format!("mst_a_{secret}0"),
            format!("mst_a_{}", &secret[1..]),
            format!("mst_a_{}", "G".repeat(64)),
            format!("MST_a_{secret}"),
        ] {
            assert!(Token::parse(&wrong).is_none(), "{wrong}");
        }
    }

    /// The vector of FIPS 180-4.
    #[test]
    fn the_hash_is_sha_256() {
        let hash = TokenHash::of("abc");
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(unhex(&hash.to_string()), Some(hash.0));
        assert!(bool::from(hash.is(&hash)) && !bool::from(hash.is(&TokenHash::NOBODY)));
        assert!(unhex("zz").is_none());
    }
}
