//! Digests of content: lower-case hexadecimal in manifests and rows, base64 in HTTP (RFC 9530).
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// The text is no digest of that kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a digest in lower-case hexadecimal digits")]
pub struct MalformedDigest;

macro_rules! digests {
    ($($(#[$doc:meta])* $name:ident = $bytes:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The digest of these bytes of a hash.
            #[must_use]
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes of the hash.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl FromStr for $name {
            type Err = MalformedDigest;

            fn from_str(text: &str) -> Result<Self, MalformedDigest> {
                let nibble = |byte: u8| match byte {
                    b'0'..=b'9' => Some(byte - b'0'),
                    b'a'..=b'f' => Some(byte - b'a' + 10),
                    _ => None,
                };
                let mut bytes = [0; $bytes];
                let pairs = text.as_bytes().chunks_exact(2);
                if text.len() != $bytes * 2 {
                    return Err(MalformedDigest);
                }
                for (byte, pair) in bytes.iter_mut().zip(pairs) {
                    let [high, low] = *pair else { return Err(MalformedDigest) };
                    let (high, low) = (nibble(high).ok_or(MalformedDigest)?, nibble(low).ok_or(MalformedDigest)?);
                    *byte = high << 4 | low;
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(format!("^[0-9a-f]{{{}}}$", $bytes * 2)))
                    .max_length(Some($bytes * 2))
                    .examples(["5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".repeat($bytes / 32)])
                    .into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

digests! {
    /// A SHA-256; content is known by it.
    Sha256Digest = 32;
    /// A SHA-512.
    Sha512Digest = 64;
}

/// What the bytes of something hash to; at least one, and all of them must be right.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Digests {
    /// By SHA-256.
    #[serde(default, rename = "sha-256", skip_serializing_if = "Option::is_none")]
    pub sha_256: Option<Sha256Digest>,
    /// By SHA-512.
    #[serde(default, rename = "sha-512", skip_serializing_if = "Option::is_none")]
    pub sha_512: Option<Sha512Digest>,
}

impl Digests {
    /// Whether nothing is promised.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sha_256.is_none() && self.sha_512.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_from_its_own_text_only() {
        let digest = Sha256Digest::new([0xa5; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for wrong in [digest.to_string().to_uppercase(), "a5".repeat(31), "a5".repeat(33), "é".repeat(32), String::new()] {
            assert_eq!(wrong.parse::<Sha256Digest>(), Err(MalformedDigest), "{wrong}");
        }
    }
}
