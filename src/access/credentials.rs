//! What somebody shows at the door: a bearer token, or the cookie of a session. The token counts where both are there.

/// The name of the session's cookie.
pub const COOKIE: &str = "muster-session";

/// What was shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// Nothing.
    None,
    /// Something that is neither.
    Malformed,
    /// `Authorization: Bearer <token>`.
    Bearer(&'a str),
    /// The secret in the session's cookie.
    Cookie(&'a str),
}

impl<'a> Credentials<'a> {
    /// Of the headers `Authorization` and `Cookie`.
    pub fn of(authorization: Option<&'a [u8]>, mut cookies: impl Iterator<Item = &'a [u8]>) -> Self {
        if let Some(value) = authorization {
            return bearer(value).map_or(Self::Malformed, Self::Bearer);
        }
        cookies.find_map(session).map_or(Self::None, Self::Cookie)
    }
}

fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn session(value: &[u8]) -> Option<&str> {
    let pairs = std::str::from_utf8(value).ok()?.split(';');
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_counts_before_the_cookie() {
        let of = |authorization: Option<&'static str>, cookie: Option<&'static str>| {
            Credentials::of(authorization.map(str::as_bytes), cookie.map(str::as_bytes).into_iter())
        };
        assert!(of(None, None) == Credentials::None);
        assert!(of(None, Some("a=b; c")) == Credentials::None);
        assert!(of(None, Some("a=b; muster-session=xyz; c=d")) == Credentials::Cookie("xyz"));
        assert!(of(Some("bearer t"), Some("muster-session=xyz")) == Credentials::Bearer("t"));
        for wrong in ["Basic dTpw", "Bearer", "mst_a_0"] {
            assert!(of(Some(wrong), Some("muster-session=xyz")) == Credentials::Malformed, "{wrong}");
        }
    }
}
