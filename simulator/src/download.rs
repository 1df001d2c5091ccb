//! Fetching a package (OMA FUMO 1.0, alternate download).
use dmwsi_objects::fumo::ResultCode;
use reqwest::{Client, StatusCode, Url};

use crate::package::{HEAD, Package};

/// Reads the package at this address to its end; only its beginning and its length are kept.
pub(crate) async fn fetch(client: &Client, url: &str, limit: u64) -> Result<Package, ResultCode> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or(ResultCode(411))?;
    let mut response = client.get(url).send().await.map_err(|error| code(&error))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(ResultCode(406)),
        StatusCode::REQUEST_TIMEOUT => return Err(ResultCode(407)),
        status if status.is_server_error() => return Err(ResultCode(500)),
        _ => return Err(ResultCode(411)),
    }
    let mut head = Vec::with_capacity(HEAD);
    let mut length = 0_u64;
    while let Some(chunk) = response.chunk().await.map_err(|error| code(&error))? {
        length = length.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if length > limit {
            return Err(ResultCode(501));
        }
        head.extend(chunk.iter().take(HEAD.saturating_sub(head.len())));
    }
    let package = Package::new(&head, length);
    if package.version.is_none() { Err(ResultCode(402)) } else { Ok(package) }
}

fn code(error: &reqwest::Error) -> ResultCode {
    ResultCode(match error {
        error if error.is_builder() => 411,
        error if error.is_connect() => 412,
        error if error.is_timeout() => 407,
        _ => 503,
    })
}
