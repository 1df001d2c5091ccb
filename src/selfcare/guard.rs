//! Who may ask for a page: this machine's browser by this page's own name, and for a change, a form that this page made.
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, web};
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::{PKey, Private};
use openssl::rand::rand_bytes;
use openssl::sign::Signer;

use super::page::Trouble;

/// The cookie by which a browser is known to have asked for a form.
const COOKIE: &str = "dmwsi-selfcare";

/// What every answer says beside its content: nothing is loaded from elsewhere, nothing is framed, nothing is kept.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    // Not `no-referrer`: with it a browser sends forms with `Origin: null`.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Makes and checks the seals of forms, and knows the names of this page.
#[derive(Clone)]
pub(super) struct Seal {
    key: PKey<Private>,
    hosts: Arc<[String]>,
}

impl Seal {
    pub(super) fn new(address: SocketAddr) -> std::io::Result<Self> {
        let mut key = [0; 32];
        rand_bytes(&mut key)?;
        let hosts = [address.to_string(), format!("localhost:{}", address.port())];
        Ok(Self { key: PKey::hmac(&key)?, hosts: hosts.into() })
    }

    /// The seal of a form at `path` for the browser that asks, and the cookie that goes with it.
    pub(super) fn seal(&self, request: &HttpRequest) -> Result<(String, Cookie<'static>), Trouble> {
        let known = request.cookie(COOKIE).map(|cookie| cookie.value().to_owned());
        let browser = match known {
            Some(browser) => browser,
            None => random()?,
        };
        let seal = self.sign(&browser, request.path())?;
        let cookie = Cookie::build(COOKIE, browser).http_only(true).same_site(SameSite::Strict).path("/").finish();
        Ok((seal, cookie))
    }

    /// Whether this page sealed the form for the browser that sends it.
    pub(super) fn is_right(&self, request: &HttpRequest, seal: &str) -> Result<bool, Trouble> {
        let Some(browser) = request.cookie(COOKIE) else { return Ok(false) };
        let right = self.sign(browser.value(), request.path())?;
        Ok(right.len() == seal.len() && memcmp::eq(right.as_bytes(), seal.as_bytes()))
    }

    fn sign(&self, browser: &str, path: &str) -> Result<String, Trouble> {
        let sign = || {
            let mut signer = Signer::new(MessageDigest::sha256(), &self.key)?;
            signer.update(format!("{path}\n{browser}").as_bytes())?;
            signer.sign_to_vec()
        };
        Ok(hex(&sign().map_err(Trouble::ours)?))
    }

    /// Whether the request names this page as its host: another name that leads here is somebody's trick (DNS rebinding).
    fn is_host(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        host.is_some_and(|host| self.hosts.iter().any(|own| own == host))
    }

    /// Whether a change comes from a page of this very host.
    fn is_own(&self, headers: &HeaderMap) -> bool {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default().to_owned());
        let origin = text(header::ORIGIN).is_none_or(|origin| self.hosts.iter().any(|own| origin == format!("http://{own}")));
        let site = text(HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin");
        origin && site
    }
}

/// A random word of 32 hexadecimal digits.
pub(super) fn random() -> Result<String, Trouble> {
    let mut bytes = [0; 16];
    rand_bytes(&mut bytes).map_err(Trouble::ours)?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Leads one request through.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let safe = [Method::GET, Method::HEAD].contains(request.method());
    let seal = request.app_data::<web::Data<Seal>>();
    let allowed = seal.is_some_and(|seal| seal.is_host(request.headers()) && (safe || seal.is_own(request.headers())));
    let mut answer = if allowed {
        match next.call(request).await {
            Ok(answer) => answer.map_into_boxed_body(),
            Err(error) => return Err(error),
        }
    } else {
        request.error_response(Trouble::Foreign)
    };
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}
