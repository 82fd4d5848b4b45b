//! Signatures as the Standard Webhooks specification 1.0 asks for them (standardwebhooks.com): over
//! `id.timestamp.body`, either HMAC-SHA256 with a shared secret (`v1,`) or Ed25519 (`v1a,`). While a secret is being
//! changed there are two, and each signs: the receiver accepts whichever it knows.
//!
//! Secrets are read from files, and no `Debug` or error shows them.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::Ed25519KeyPair;

/// Secrets of one target at most: two of each kind, during a change.
pub const SECRETS_MAX: usize = 4;
/// A shared secret has so many bytes, as the specification says.
const SHARED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Why a secret cannot be used. Never what it says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret in {file} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// The system's words.
        reason: String,
    },
    /// What it holds is none.
    #[error("{file} holds no secret: {reason}")]
    Wrong {
        /// The file.
        file: String,
        /// What is wrong, and the way out.
        reason: &'static str,
    },
}

/// One secret that signs.
pub enum Secret {
    /// `whsec_…`: shared with the receiver.
    Shared(hmac::Key),
    /// `whsk_…`: ours alone; the receiver has its public half (`whpk_…`).
    Own(Box<Ed25519KeyPair>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared(_) => "Secret(shared)",
            Self::Own(_) => "Secret(own)",
        })
    }
}

impl Secret {
    /// Reads a secret: `whsec_` and 24 to 64 bytes in base64, or `whsk_` and the 32 bytes of an Ed25519 seed (64 where the
    /// public half follows it).
    ///
    /// # Errors
    /// What is wrong with it, without a word of it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if let Some(shared) = text.strip_prefix("whsec_") {
            let bytes = STANDARD.decode(shared).map_err(|_| "what follows whsec_ is no base64")?;
            if !SHARED_BYTES.contains(&bytes.len()) {
                return Err("a shared secret has 24 to 64 bytes; make one with `openssl rand -base64 32`");
            }
            return Ok(Self::Shared(hmac::Key::new(hmac::HMAC_SHA256, &bytes)));
        }
        let own =
            text.strip_prefix("whsk_").ok_or("it begins neither with whsec_ (shared) nor with whsk_ (Ed25519)")?;
        let bytes = STANDARD.decode(own).map_err(|_| "what follows whsk_ is no base64")?;
        let pair = match bytes.len() {
            32 => Ed25519KeyPair::from_seed_unchecked(&bytes),
            64 => Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]),
            _ => return Err("an Ed25519 seed has 32 bytes (64 with its public half)"),
        };
        pair.map(|pair| Self::Own(Box::new(pair))).map_err(|_| "seed and public half do not fit each other")
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds none.
    pub fn read(file: &Path) -> Result<Self, SecretError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|e| SecretError::Unreadable { file: name.clone(), reason: e.to_string() })?;
        Self::parse(&text).map_err(|reason| SecretError::Wrong { file: name, reason })
    }

    /// The signature of a message, with its version.
    #[must_use]
    pub fn sign(&self, content: &[u8]) -> String {
        match self {
            Self::Shared(key) => format!("v1,{}", STANDARD.encode(hmac::sign(key, content))),
            Self::Own(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(content))),
        }
    }
}

/// Reads every secret of a target.
///
/// # Errors
/// As [`Secret::read`]; also when there are too many.
pub fn read_all(files: &[PathBuf]) -> Result<Vec<Secret>, SecretError> {
    if let Some(file) = files.get(SECRETS_MAX) {
        let reason = "a target has at most four secrets: two of each kind, while one is being changed";
        return Err(SecretError::Wrong { file: file.display().to_string(), reason });
    }
    files.iter().map(|file| Secret::read(file)).collect()
}

/// The value of `webhook-signature`: one signature a secret, with a space between. `timestamp`: seconds since 1970.
#[must_use]
pub fn signatures(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    secrets.iter().map(|secret| secret.sign(&content)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    /// The vectors of the specification's own libraries.
    #[test]
    fn the_vectors_of_the_specification() {
        let shared = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let own = Secret::parse("whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=").unwrap();
        let (v1, v1a) = (
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
        );
        assert_eq!(signatures(&[shared, own], ID, AT, BODY), format!("{v1} {v1a}"));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_a_word_of_it() {
        for (text, why) in [
            ("c2VjcmV0", "begins neither"),
            ("whsec_%%%", "no base64"),
            ("whsec_c2hvcnQ=", "24 to 64"),
            ("whsk_c2hvcnQ=", "32 bytes"),
        ] {
            let refused = Secret::parse(text).unwrap_err();
            assert!(refused.contains(why) && !refused.contains(&text[6..]), "{refused}");
        }
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(shared)");
    }
}
