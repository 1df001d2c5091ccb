//! Uploads as a portal makes them: begun, gone on with, asked how far they are.
use reqwest::Method;

use super::archive::TAR;
use super::server::{Got, Portal};

/// What the parts are sent as.
pub(crate) const PART: (&str, &str) = ("content-type", "application/partial-upload");

/// Begins an upload with some bytes; its address.
pub(crate) async fn begin(portal: &Portal, headers: &[(&str, &str)], part: &[u8]) -> String {
    let mut all = vec![TAR, ("upload-complete", "?0")];
    all.extend(headers);
    let got = portal.bring(Method::POST, "/v1/uploads", &all, part.to_vec()).await;
    assert_eq!((got.status.as_u16(), got.header("upload-complete")), (201, "?0"), "{}", got.text);
    assert!(got.header("upload-limit").contains("max-size="));
    got.header("location").to_owned()
}

/// Sends the part that begins at `offset`.
pub(crate) async fn append(portal: &Portal, path: &str, offset: usize, last: bool, headers: &[(&str, &str)], part: &[u8]) -> Got {
    let offset = offset.to_string();
    let mut all = vec![PART, ("upload-offset", offset.as_str()), ("upload-complete", if last { "?1" } else { "?0" })];
    all.extend(headers);
    portal.bring(Method::PATCH, path, &all, part.to_vec()).await
}

/// How many bytes are there.
pub(crate) async fn offset(portal: &Portal, path: &str) -> usize {
    let got = portal.bring(Method::HEAD, path, &[], "").await;
    assert_eq!((got.status.as_u16(), got.header("cache-control")), (204, "no-store"));
    got.header("upload-offset").parse().unwrap()
}
