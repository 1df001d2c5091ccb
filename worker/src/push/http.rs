//! Requests to gateways that pass a notification on.
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::json;
use url::Url;

use super::package::{carried, content_type};
use super::settings::{Body, Settings};
use super::trouble::Failure;
use crate::egress::is_forbidden;

/// The header by which a gateway learns for whom a message is, where its body cannot tell.
const ADDRESS: &str = "x-dmwsi-address";
/// The header by which a gateway learns the number of the session.
const SESSION: &str = "x-dmwsi-session";

/// The longest wait that a gateway can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// A notification on its way to a gateway.
pub(super) struct Request<'a> {
    pub(super) url: &'a Url,
    /// What the gateway knows the device by.
    pub(super) address: &'a str,
    pub(super) session: u16,
    pub(super) notification: &'a [u8],
}

/// Hands a notification to a gateway.
pub(super) async fn send(client: &Client, settings: &Settings, request: &Request<'_>) -> Result<(), Failure> {
    let Request { url, address, session, notification } = request;
    let kind = content_type(settings.http_form);
    for message in carried(settings.http_form, *session, notification) {
        let post = client.post((*url).clone());
        let post = match settings.http_body {
            Body::Bytes => {
                let post = post.header(CONTENT_TYPE, kind).header("x-wap-application-id", "x-wap-application:syncml.dm");
                post.header(ADDRESS, *address).header(SESSION, format!("{session:X}")).body(message)
            }
            Body::Json => post.json(&json!({
                "address": address, "sessionId": format!("{session:X}"), "contentType": kind, "data": STANDARD.encode(message),
            })),
        };
        answered(post).await?;
    }
    Ok(())
}

/// What an answer means. Its body is not read.
async fn answered(post: RequestBuilder) -> Result<(), Failure> {
    let response = match post.send().await {
        Ok(response) => response,
        Err(error) if is_forbidden(&error) => return Err(Failure::Forbidden),
        Err(error) if error.is_timeout() => return Err(Failure::passing("GATEWAY_TIMEOUT")),
        Err(_unreachable) => return Err(Failure::passing("GATEWAY_UNREACHABLE")),
    };
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let not_before = asked.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
    let is_passing = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
        // Its own credentials may be what is wrong with the gateway.
        || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    let code = format!("GATEWAY_{}", status.as_u16());
    Err(if is_passing { Failure::Passing { code, not_before } } else { Failure::Final { code } })
}
