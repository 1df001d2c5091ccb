//! Requests to gateways that pass a notification on.
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_protocol::notification::pap::{Response, Submission};
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

/// The longest answer of a push proxy gateway that is read, in bytes.
const LONGEST_RESPONSE: usize = 65_536;

/// A notification on its way to a gateway.
pub(super) struct Request<'a> {
    pub(super) url: &'a Url,
    /// What the gateway knows the device by.
    pub(super) address: &'a str,
    pub(super) session: u16,
    pub(super) notification: &'a [u8],
    /// What a push proxy gateway tells it from others by.
    pub(super) push_id: &'a str,
}

/// Hands a notification to a gateway, in that body.
pub(super) async fn send(client: &Client, settings: &Settings, form: Body, request: &Request<'_>) -> Result<(), Failure> {
    let Request { url, address, session, notification, push_id } = request;
    let kind = content_type(settings.http_form);
    for message in carried(settings.http_form, *session, notification) {
        let post = client.post((*url).clone());
        let post = match form {
            Body::Bytes => {
                let post = post.header(CONTENT_TYPE, kind).header("x-wap-application-id", "x-wap-application:syncml.dm");
                post.header(ADDRESS, *address).header(SESSION, format!("{session:X}")).body(message)
            }
            Body::Json => post.json(&json!({
                "address": address, "sessionId": format!("{session:X}"), "contentType": kind, "data": STANDARD.encode(message),
            })),
            Body::Pap => {
                let gateway = url.host_str().unwrap_or_default();
                return pap(client, url, &Submission { push_id, client: address, gateway, package: notification }).await;
            }
        };
        // What else it says is not read.
        answered(post).await?;
    }
    Ok(())
}

/// Hands a push to a push proxy gateway.
async fn pap(client: &Client, url: &Url, push: &Submission<'_>) -> Result<(), Failure> {
    let post = client.post(url.clone()).header(CONTENT_TYPE, push.content_type()).body(push.body());
    let mut response = answered(post).await?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unreached(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > LONGEST_RESPONSE {
            return Err(Failure::passing("GATEWAY_UNCLEAR"));
        }
    }
    match Response::read(&body) {
        Some(Response::Accepted(_)) => Ok(()),
        Some(Response::Refused(code)) => Err(Failure::Final { code: format!("PAP_{code}") }),
        Some(Response::Failed(code)) => Err(Failure::Passing { code: format!("PAP_{code}"), not_before: asked_wait(&response) }),
        None => Err(Failure::passing("GATEWAY_UNCLEAR")),
    }
}

/// How long the gateway asks to be left alone.
fn asked_wait(response: &reqwest::Response) -> Option<Duration> {
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    asked.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// There was no answer, or not all of it.
fn unreached(error: &reqwest::Error) -> Failure {
    Failure::passing(if error.is_timeout() { "GATEWAY_TIMEOUT" } else { "GATEWAY_UNREACHABLE" })
}

/// What an answer means by its status.
async fn answered(post: RequestBuilder) -> Result<reqwest::Response, Failure> {
    let response = match post.send().await {
        Ok(response) => response,
        Err(error) if is_forbidden(&error) => return Err(Failure::Forbidden),
        Err(error) => return Err(unreached(&error)),
    };
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let not_before = asked_wait(&response);
    let is_passing = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
        // Its own credentials may be what is wrong with the gateway.
        || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    let code = format!("GATEWAY_{}", status.as_u16());
    Err(if is_passing { Failure::Passing { code, not_before } } else { Failure::Final { code } })
}
