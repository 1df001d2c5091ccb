//! Where events are delivered to and what is presented there, of a subscription or of a job.
use std::fmt;
use std::time::Duration;

use dmwsi_domain::Timestamp;
use dmwsi_domain::egress::Forbidden;
use dmwsi_domain::subscription::Signing;
use dmwsi_store::webhook_secrets::{SinkCredential, WebhookKey, WebhookSecrets};
use openssl::asn1::Asn1Time;
use openssl::pkey::PKey;
use openssl::x509::X509;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::{Code, Problem};

/// How long before its bearer token a subscription ends.
pub(crate) const BEFORE_TOKEN: Duration = Duration::from_secs(30);

/// The longest address of a receiver.
const MAX_SINK: usize = 2_048;

/// The longest `callbackData`.
const MAX_CALLBACK_DATA: usize = 256;

/// The longest token or secret presented to a receiver.
const MAX_CREDENTIAL: usize = 4_096;

/// The longest certificate chain, and the longest key, in PEM.
const MAX_PEM: usize = 16_384;

/// What is presented to the receiver.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SinkCredential, example = json!({
    "credentialType": "ACCESSTOKEN", "accessToken": "eyJhbGciOi", "accessTokenExpiresUtc": "2026-12-24T10:00:00Z", "accessTokenType": "bearer"
}))]
pub struct NewSinkCredential {
    /// `ACCESSTOKEN`; `CLIENT_CREDENTIALS` for a token that is had from a token endpoint and renewed by itself; `PRIVATE_KEY_JWT` for the same where this
    /// server proves who asks by a JWT of its own (RFC 7523), to be verified by the keys at its `jwks_uri`; `MUTUAL_TLS` for a certificate.
    #[schema(max_length = 32)]
    pub credential_type: String,
    /// The bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub access_token: Option<String>,
    /// When it is over; the subscription ends just before.
    #[serde(default, alias = "accessTokenExpireUtc", skip_serializing_if = "Option::is_none")]
    pub access_token_expires_utc: Option<Timestamp>,
    /// `bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16)]
    pub access_token_type: Option<String>,
    /// The token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, format = "uri")]
    pub token_url: Option<String>,
    /// Who asks there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub client_id: Option<String>,
    /// What proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub client_secret: Option<String>,
    /// What for, with spaces between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub scope: Option<String>,
    /// The certificate that the receiver is shown, and those it was issued by, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16384)]
    pub client_certificate: Option<String>,
    /// Its private key, in PEM and not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16384)]
    pub client_key: Option<String>,
}

impl fmt::Debug for NewSinkCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewSinkCredential(…)")
    }
}

/// Where and how events are delivered, of a subscription or of a job.
pub(crate) struct Receiver<'r> {
    pub(crate) sink: &'r str,
    pub(crate) credential: Option<&'r NewSinkCredential>,
    pub(crate) callback_data: Option<&'r str>,
    pub(crate) signing: Signing,
    /// What the places of faults begin with.
    pub(crate) callback_pointer: &'r str,
}

impl Receiver<'_> {
    /// Its secrets and, where its token ends, when.
    pub(crate) fn check(&self, app: &App, now: Timestamp) -> Result<(WebhookSecrets, Option<Timestamp>), Problem> {
        let refused = || {
            Problem::new(Code::InvalidSink, "Events are not delivered to that address.")
                .at("/sink", "must be a public https address")
        };
        let url = (self.sink.len() <= MAX_SINK).then(|| Url::parse(self.sink).ok()).flatten().ok_or_else(refused)?;
        app.egress.judge_sink(&url).map_err(|_forbidden| refused())?;
        if self.callback_data.is_some_and(|data| data.chars().count() > MAX_CALLBACK_DATA || data.chars().any(char::is_control)) {
            let problem = Problem::invalid("The callbackData is too long, or has control characters.");
            return Err(problem.at(self.callback_pointer, "must have at most 256 characters"));
        }
        let credential = self.credential.map(|credential| credential.check(app, now)).transpose()?;
        let ends = match &credential {
            Some(SinkCredential::AccessToken { expires_at, .. }) => expires_at.map(|end| end.minus(BEFORE_TOKEN)),
            _ => None,
        };
        let current = WebhookKey::mint(self.signing)?;
        Ok((WebhookSecrets::new(current, credential, self.callback_data.map(str::to_owned)), ends))
    }
}

impl NewSinkCredential {
    pub(crate) fn check(&self, app: &App, now: Timestamp) -> Result<SinkCredential, Problem> {
        let wrong = |pointer: &str, detail: &str| {
            Problem::new(Code::InvalidCredential, "The sinkCredential cannot be used.")
                .at(format!("/sinkCredential{pointer}"), detail)
        };
        let text = |value: &Option<String>, pointer: &str| {
            let fits =
                |text: &&String| (1..=MAX_CREDENTIAL).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
            value.as_ref().filter(fits).cloned().ok_or_else(|| wrong(pointer, "must be given, in visible ASCII characters"))
        };
        match self.credential_type.as_str() {
            "ACCESSTOKEN" => {
                if self.access_token_type.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
                    let problem = Problem::new(Code::InvalidToken, "Only bearer tokens are presented.");
                    return Err(problem.at("/sinkCredential/accessTokenType", "must be bearer"));
                }
                if self.access_token_expires_utc.is_some_and(|end| end <= now.plus(BEFORE_TOKEN)) {
                    let problem = Problem::new(Code::InvalidToken, "The token is over, or nearly so.");
                    return Err(problem.at("/sinkCredential/accessTokenExpiresUtc", "must lie in the future"));
                }
                let token = text(&self.access_token, "/accessToken")?;
                Ok(SinkCredential::AccessToken { token, expires_at: self.access_token_expires_utc })
            }
            kind @ ("CLIENT_CREDENTIALS" | "PRIVATE_KEY_JWT") => {
                let token_url = text(&self.token_url, "/tokenUrl")?;
                let judged = Url::parse(&token_url).map_err(|_malformed| Forbidden).and_then(|url| app.egress.judge_sink(&url));
                judged.map_err(|_forbidden| wrong("/tokenUrl", "must be a public https address"))?;
                let (client_id, scope) = (text(&self.client_id, "/clientId")?, self.scope.clone());
                if kind == "PRIVATE_KEY_JWT" {
                    return Ok(SinkCredential::PrivateKeyJwt { token_url, client_id, scope });
                }
                let client_secret = text(&self.client_secret, "/clientSecret")?;
                Ok(SinkCredential::ClientCredentials { token_url, client_id, client_secret, scope })
            }
            "MUTUAL_TLS" => {
                let pem = |value: &Option<String>| value.clone().filter(|pem| pem.len() <= MAX_PEM).unwrap_or_default();
                let certificate = pem(&self.client_certificate);
                let chain = X509::stack_from_pem(certificate.as_bytes()).unwrap_or_default();
                let leaf = chain.first().ok_or_else(|| wrong("/clientCertificate", "must be a certificate in PEM"))?;
                let today = Asn1Time::from_unix(now.micros() / 1_000_000).map_err(dmwsi_domain::Error::internal)?;
                if leaf.not_after() <= today {
                    return Err(wrong("/clientCertificate", "is over"));
                }
                // Nobody is asked for a passphrase.
                let key = PKey::private_key_from_pem_callback(pem(&self.client_key).as_bytes(), |_passphrase| Ok(0));
                let key = key.ok().filter(|key| leaf.public_key().is_ok_and(|public| public.public_eq(key)));
                let key = key.ok_or_else(|| wrong("/clientKey", "must be the key of the certificate, in PEM, not encrypted"))?;
                let key = key.private_key_to_pem_pkcs8().ok().and_then(|pem| String::from_utf8(pem).ok());
                let key = key.ok_or_else(|| wrong("/clientKey", "must be a key that can be written in PKCS #8"))?;
                Ok(SinkCredential::Certificate { certificate, key })
            }
            _ => Err(wrong("/credentialType", "must be ACCESSTOKEN, CLIENT_CREDENTIALS, PRIVATE_KEY_JWT or MUTUAL_TLS")),
        }
    }
}
