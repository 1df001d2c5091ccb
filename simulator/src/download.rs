//! Fetching a package (OMA FUMO 1.0, alternate download): in pieces, resumed after a break, by a descriptor where the device wants one.
use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::fumo::ResultCode;
use dmwsi_protocol::descriptor::{self, Descriptor, InstallStatus};
use openssl::sha::Sha256;
use reqwest::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode, Url};

use crate::behaviour::Behaviour;
use crate::package::{HEAD, Package};

/// The largest descriptor that a device reads, in bytes.
const MAX_DESCRIPTOR: usize = 16_384;

/// What a device has of a package that is not whole yet: how much, its beginning, and the hash so far. The bytes themselves are not kept.
#[derive(Clone, Default)]
pub(crate) struct Partial {
    url: String,
    descriptor: Option<Descriptor>,
    tag: Option<String>,
    promised: Option<Vec<u8>>,
    length: Option<u64>,
    at: u64,
    furthest: u64,
    tries: u32,
    head: Vec<u8>,
    hash: Sha256,
}

impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial").field("url", &self.url).field("at", &self.at).finish_non_exhaustive()
    }
}

/// How an attempt to fetch ended.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// It broke; the device tries again later.
    Broken,
    /// It is over.
    Over(Result<Package, ResultCode>),
    /// The device went away.
    Vanished,
}

/// Why an attempt came to nothing.
enum Trouble {
    /// It may be better next time. When it is not, this is what is reported.
    Passing(ResultCode),
    /// It will not be better.
    Lasting(ResultCode),
    /// The device went away.
    Vanished,
}

use Trouble::{Lasting, Passing};

/// Fetches the package at this address, or goes on where an earlier attempt broke.
pub(crate) async fn fetch(client: &Client, url: &str, kept: &mut Option<Partial>, behaviour: &Behaviour) -> Fetched {
    let mut partial = kept.take().filter(|partial| partial.url == url);
    let partial = partial.get_or_insert_with(|| Partial { url: url.to_owned(), ..Partial::default() });
    let outcome = match attempt(client, partial, behaviour).await {
        Ok(package) => Ok(package),
        Err(Trouble::Vanished) => return Fetched::Vanished,
        Err(Lasting(code)) => Err(code),
        Err(Passing(code)) => {
            // What brings it further counts as no failure.
            partial.tries = if partial.at > partial.furthest { 0 } else { partial.tries.saturating_add(1) };
            partial.furthest = partial.furthest.max(partial.at);
            if partial.tries < behaviour.download_tries {
                *kept = Some(std::mem::take(partial));
                return Fetched::Broken;
            }
            Err(code)
        }
    };
    if let Some(descriptor) = &partial.descriptor {
        notify(client, descriptor, &outcome, behaviour).await;
    }
    Fetched::Over(outcome)
}

async fn attempt(client: &Client, partial: &mut Partial, behaviour: &Behaviour) -> Result<Package, Trouble> {
    if behaviour.wants_descriptor && partial.descriptor.is_none() {
        partial.descriptor = Some(describe(client, &partial.url).await?);
    }
    let described = partial.descriptor.as_ref().map(|descriptor| (descriptor.object.clone(), descriptor.size));
    if described.as_ref().is_some_and(|(_, size)| *size > behaviour.max_package) {
        return Err(Lasting(ResultCode(501)));
    }
    let object = described.as_ref().map_or(&partial.url, |(object, _)| object);
    let mut request = client.get(address(object)?);
    // Without a validator nobody knows whether the rest belongs to what is there.
    let tag = partial.tag.clone().filter(|_| partial.at > 0);
    if let Some(tag) = &tag {
        request = request.header(RANGE, format!("bytes={}-", partial.at)).header(IF_RANGE, tag);
    }
    let response = request.send().await.map_err(|error| trouble(&error))?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT if tag.is_some() => resumes(partial, response.headers())?,
        StatusCode::RANGE_NOT_SATISFIABLE if tag.is_some() => {
            partial.restart(None, None, None);
            return Err(Passing(ResultCode(500)));
        }
        status => {
            judge(status)?;
            let tag = header(response.headers(), &ETAG).filter(|tag| !tag.starts_with("W/"));
            partial.restart(tag, promised(response.headers()), response.content_length());
        }
    }
    read(response, partial, behaviour).await?;
    let package = Package::new(&partial.head, partial.at);
    let is_whole = partial.promised.as_ref().is_none_or(|promised| *promised == partial.hash.clone().finish());
    if described.is_some_and(|(_, size)| size != partial.at) {
        return Err(Lasting(ResultCode(405)));
    }
    if package.version.is_none() || !is_whole { Err(Lasting(ResultCode(402))) } else { Ok(package) }
}

impl Partial {
    /// Forgets what is there: it begins from the first byte.
    fn restart(&mut self, tag: Option<String>, promised: Option<Vec<u8>>, length: Option<u64>) {
        (self.tag, self.promised, self.length) = (tag, promised, length);
        (self.at, self.hash) = (0, Sha256::new());
        self.head.clear();
    }

    fn take(&mut self, piece: &[u8]) {
        self.at = self.at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        self.hash.update(piece);
        self.head.extend(piece.iter().take(HEAD.saturating_sub(self.head.len())));
    }
}

/// Reads the answer to its end, or to where the connection breaks.
async fn read(mut response: Response, partial: &mut Partial, behaviour: &Behaviour) -> Result<(), Trouble> {
    let from = partial.at;
    let broken = behaviour.break_downloads.iter().copied().filter(|at| *at > from).min();
    let vanishing = behaviour.vanish_at.filter(|at| *at > from);
    let end = broken.into_iter().chain(vanishing).min();
    while let Some(chunk) = response.chunk().await.map_err(|error| trouble(&error))? {
        let room = end.map_or(usize::MAX, |end| usize::try_from(end.saturating_sub(partial.at)).unwrap_or(usize::MAX));
        partial.take(chunk.get(..room).unwrap_or(&chunk));
        if partial.at > behaviour.max_package {
            return Err(Lasting(ResultCode(501)));
        }
        if vanishing == Some(partial.at) {
            return Err(Trouble::Vanished);
        }
        if broken == Some(partial.at) {
            return Err(Passing(ResultCode(503)));
        }
    }
    let is_short = partial.length.is_some_and(|length| partial.at < length);
    if is_short { Err(Passing(ResultCode(503))) } else { Ok(()) }
}

/// Whether a partial answer goes on where the device is.
fn resumes(partial: &mut Partial, headers: &HeaderMap) -> Result<(), Trouble> {
    let start = format!("bytes {}-", partial.at);
    let range = header(headers, &CONTENT_RANGE).filter(|range| range.starts_with(&start));
    let same = header(headers, &ETAG).is_none_or(|tag| partial.tag.as_ref() == Some(&tag));
    let Some(range) = range.filter(|_| same) else {
        partial.restart(None, None, None);
        return Err(Passing(ResultCode(500)));
    };
    partial.length = range.rsplit('/').next().and_then(|length| length.parse().ok());
    Ok(())
}

async fn describe(client: &Client, url: &str) -> Result<Descriptor, Trouble> {
    let request = client.get(address(url)?).header(ACCEPT, descriptor::MEDIA_TYPE);
    let mut response = request.send().await.map_err(|error| trouble(&error))?;
    judge(response.status())?;
    let kind = header(response.headers(), &CONTENT_TYPE).unwrap_or_default();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| trouble(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_DESCRIPTOR {
            return Err(Lasting(ResultCode(405)));
        }
    }
    let read = Descriptor::decode(&body).ok().flatten().filter(|_| kind.starts_with(descriptor::MEDIA_TYPE));
    read.filter(|read| read.version.is_empty() || read.version.starts_with("1.")).ok_or(Lasting(ResultCode(405)))
}

/// Tells what became of the download, again where nobody heard it.
async fn notify(client: &Client, descriptor: &Descriptor, outcome: &Result<Package, ResultCode>, behaviour: &Behaviour) {
    let Ok(url) = Url::parse(&descriptor.install_notify) else { return };
    let code = match outcome {
        Ok(_) => InstallStatus::SUCCESS,
        Err(ResultCode(501)) => InstallStatus::INSUFFICIENT_MEMORY,
        Err(ResultCode(503)) => InstallStatus::LOSS_OF_SERVICE,
        Err(ResultCode(405)) => InstallStatus::ATTRIBUTE_MISMATCH,
        Err(ResultCode(402)) => InstallStatus::NON_ACCEPTABLE_CONTENT,
        Err(_) => InstallStatus::DEVICE_ABORTED,
    };
    for _ in 0..=behaviour.retries {
        let sent = client.post(url.clone()).body(InstallStatus::new(code).encode()).send().await;
        if sent.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(behaviour.retry_ms)).await;
    }
}

fn judge(status: StatusCode) -> Result<(), Trouble> {
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Lasting(ResultCode(406))),
        StatusCode::REQUEST_TIMEOUT => Err(Passing(ResultCode(407))),
        status if status.is_server_error() => Err(Passing(ResultCode(500))),
        _ => Err(Lasting(ResultCode(411))),
    }
}

fn address(text: &str) -> Result<Url, Trouble> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or(Lasting(ResultCode(411)))
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The SHA-256 of the whole, where the server tells it (RFC 9530).
fn promised(headers: &HeaderMap) -> Option<Vec<u8>> {
    let all = headers.get("repr-digest")?.to_str().ok()?;
    let one = all.split(',').find_map(|one| one.trim().strip_prefix("sha-256=:"))?;
    BASE64_STANDARD.decode(one.strip_suffix(':')?).ok()
}

fn trouble(error: &reqwest::Error) -> Trouble {
    match error {
        error if error.is_builder() => Lasting(ResultCode(411)),
        error if error.is_connect() => Passing(ResultCode(412)),
        error if error.is_timeout() => Passing(ResultCode(407)),
        _ => Passing(ResultCode(503)),
    }
}
