//! The token of OAUTHBEARER: a JWT in a file, which a sidecar or the platform renews.
//!
//! The brokers judge the token; here only its end is read, so that the library asks again in time (after four fifths of
//! its life). The file is read anew each time. Source of the members: RFC 7519, `exp` and `sub`.

use std::fs;
use std::os::raw::c_char;
use std::path::Path;
use std::ptr;

use rdkafka::client::{Client, OAuthToken};
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use super::client::Context;
use crate::decode::base64;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file.
    #[error("the token's file {path} cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("what the file holds is no JWT that says when it ends: {0}")]
    Malformed(&'static str),
    /// The library.
    #[error("the token is refused by the library: {0}")]
    Refused(String),
}

#[derive(Deserialize)]
struct Claims {
    /// Seconds since 1970; RFC 7519 lets it have a fraction.
    exp: f64,
    #[serde(default)]
    sub: String,
}

/// Reads the token and when it ends.
///
/// # Errors
/// When the file cannot be read, or holds no JWT.
pub fn read(path: &Path) -> Result<OAuthToken, TokenError> {
    let unreadable = |source| TokenError::Unreadable { path: path.display().to_string(), source };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let token = text.trim();
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(TokenError::Malformed("it has not three parts"));
    };
    let claims = from_base64_url(claims).ok_or(TokenError::Malformed("its second part is not base64"))?;
    let claims: Claims =
        serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed("it has no number `exp`"))?;
    #[expect(clippy::cast_possible_truncation, reason = "an end beyond all time is the last instant there is")]
    let lifetime_ms = (claims.exp * 1000.0) as i64;
    Ok(OAuthToken { token: token.to_owned(), principal_name: claims.sub, lifetime_ms })
}

/// The alphabet of RFC 4648 §5, without padding, as JWTs have it.
fn from_base64_url(text: &str) -> Option<Vec<u8>> {
    let mut text = text.replace('-', "+").replace('_', "/");
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    base64::decode(&text)
}

/// Gives a client its token, which nobody will ask it for: see the module `client` on administration.
///
/// # Errors
/// When the library refuses it.
#[expect(unsafe_code, reason = "the wrapper has no way to give an admin client a token")]
pub(super) fn hand_over(client: &Client<Context>, token: &OAuthToken) -> Result<(), TokenError> {
    let text = |text: &str| std::ffi::CString::new(text).map_err(|_| TokenError::Malformed("it holds a NUL"));
    let (value, principal) = (text(&token.token)?, text(&token.principal_name)?);
    let mut why = [0_u8; 512];
    // SAFETY: the client lives as long as its reference; both texts end in NUL and outlive the call, which copies them;
    // no extensions are given; the library writes at most the buffer's length, with a NUL at its end.
    let code = unsafe {
        rdkafka::bindings::rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            why.as_mut_ptr().cast::<c_char>(),
            why.len(),
        )
    };
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    let end = why.iter().position(|byte| *byte == 0).unwrap_or(why.len());
    Err(TokenError::Refused(String::from_utf8_lossy(&why[..end]).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<OAuthToken, TokenError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, text).unwrap();
        read(&file)
    }

    #[test]
    fn end_and_owner_are_read_from_the_token() {
        // {"alg":"none"} . {"sub":"muster?>","exp":1764000000.5} . nothing
        let token = read_text("eyJhbGciOiJub25lIn0.eyJzdWIiOiJtdXN0ZXI_PiIsImV4cCI6MTc2NDAwMDAwMC41fQ.\n").unwrap();
        assert_eq!((token.principal_name.as_str(), token.lifetime_ms), ("muster?>", 1_764_000_000_500));
        assert!(token.token.ends_with('.'), "the end of the line is not part of it");
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        for wrong in ["", "sesame", "a.sesame.c", "a.e30.c", "a.b.c.d"] {
            let said = read_text(wrong).err().unwrap().to_string();
            assert!(said.contains("no JWT") && !said.contains("sesame"), "{wrong}: {said}");
        }
        assert!(read(Path::new("/nowhere")).err().unwrap().to_string().contains("/nowhere"));
    }
}
