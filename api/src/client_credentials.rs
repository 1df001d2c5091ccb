//! Client credentials by Basic, in both encodings real clients use.
use actix_web::http::header::HeaderValue;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use url::form_urlencoded;

/// Some clients leave the padding away.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An id and a secret as presented; no `Debug`, so they are never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The text given as client id.
    pub id: String,
    /// The text given as secret.
    pub secret: String,
}

/// What a header `Basic …` may mean: id and secret form-urlencoded before they were joined (RFC 6749, 2.3.1), or as they are (what most
/// tools do). Both readings where they differ; none where it is no such header.
#[must_use]
pub fn basic(value: &HeaderValue) -> Vec<Credentials> {
    let joined = || -> Option<String> {
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        let decoded = scheme.eq_ignore_ascii_case("basic").then(|| LENIENT.decode(encoded.trim()).ok())??;
        String::from_utf8(decoded).ok()
    };
    let Some(joined) = joined() else { return Vec::new() };
    let Some((id, secret)) = joined.split_once(':') else { return Vec::new() };
    let raw = Credentials { id: id.to_owned(), secret: secret.to_owned() };
    let decoded = Credentials { id: form_decoded(id), secret: form_decoded(secret) };
    if raw == decoded { vec![raw] } else { vec![decoded, raw] }
}

fn form_decoded(text: &str) -> String {
    // As the value of a pair, so that `=` and `&` in it stay what they are.
    let guarded = text.replace('&', "%26");
    form_urlencoded::parse(format!("v={guarded}").as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn read(header: &str) -> Vec<(String, String)> {
        basic(&HeaderValue::from_str(header).unwrap()).into_iter().map(|given| (given.id, given.secret)).collect()
    }

    #[test]
    fn basic_credentials_are_read_in_both_encodings() {
        let encode = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let pair = |id: &str, secret: &str| (id.to_owned(), secret.to_owned());
        assert_eq!(read(&encode("cli_1:se-cr_et")), [pair("cli_1", "se-cr_et")]);
        assert_eq!(read(&encode("cli%5F1:a%2Bb+c")), [pair("cli_1", "a+b c"), pair("cli%5F1", "a%2Bb+c")]);
        assert_eq!(read(&encode("a:b:c=d&e")), [pair("a", "b:c=d&e")]);
        assert_eq!(read("basic YTpi"), [pair("a", "b")]);
        assert_eq!(read(&format!("Basic {}", STANDARD.encode("ab:c").trim_end_matches('='))), [pair("ab", "c")]);
        for wrong in ["Basic", "Basic ???", "Bearer YTpi", &encode("no colon"), "Basic /w=="] {
            assert!(read(wrong).is_empty(), "{wrong}");
        }
    }
}
