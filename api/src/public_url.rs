//! Where the world reaches this server: the issuer of tokens and the base of every address it gives.
use std::fmt;

use url::Url;

/// An absolute http(s) address without query, fragment, credentials or trailing slash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicUrl(String);

/// The address cannot be a public one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("publicUrl must be an absolute http or https address without query, fragment or credentials")]
pub struct PublicUrlError;

impl PublicUrl {
    /// Reads `text`.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let url = Url::parse(text).map_err(|_malformed| PublicUrlError)?;
        let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        if !bare || !matches!(url.scheme(), "http" | "https") {
            return Err(PublicUrlError);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The address, without a slash at its end: the issuer (RFC 8414) and the audience of our tokens.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of `path`, which starts with a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Whether callers come over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_ends_without_a_slash_and_hides_nothing() {
        assert_eq!(PublicUrl::parse("https://dm.example.com/").unwrap().join("/v1"), "https://dm.example.com/v1");
        assert_eq!(PublicUrl::parse("http://127.0.0.1:8080/dms/").unwrap().as_str(), "http://127.0.0.1:8080/dms");
        for wrong in ["dm.example.com", "ftp://a", "https://u:p@a", "https://a?b", "https://a#b"] {
            assert_eq!(PublicUrl::parse(wrong), Err(PublicUrlError), "{wrong}");
        }
    }
}
