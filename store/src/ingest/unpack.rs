//! Reads a container once, from the first byte to the last, in constant memory: judges its form and its manifest, hashes its payloads on their
//! way to disk, and unpacks nothing to names.
use std::collections::BTreeSet;
use std::io::{self, Read, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dmwsi_domain::Timestamp;
use dmwsi_domain::archive::{BLOCK, Block, Header, padding};
use dmwsi_domain::digest::{Digests, Sha256Digest, Sha512Digest};
use dmwsi_domain::fault::{Fault, FaultCode};
use dmwsi_domain::manifest::{self, Expected, Manifest};
use openssl::sha::{Sha256, Sha512};

use crate::admission::{Room, no_room};
use crate::content::{Content, Kept, Settings, Workplace};

/// How much is read at a time.
const PIECE: usize = 1 << 17;

/// The most bytes that may follow the end of the archive; all of them zero.
const MAX_TAIL: usize = 1 << 20;

/// How much is still taken of a container that is refused already, so that its sender hears the answer and its digest can be judged.
const MAX_REST: u64 = 64 << 20;

/// For how long it is still taken: whoever sends slowly must not keep the thread.
const REST_WITHIN: Duration = Duration::from_secs(5);

/// Why the reading ended early, other than by a fault of the container.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The bytes broke off.
    #[error("the container broke off")]
    Source(#[source] io::Error),
    /// They could not be written.
    #[error("the content cannot be written")]
    Disk(#[source] io::Error),
}

/// A container that has been read.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    /// What its manifest says, if that could be read.
    pub(super) manifest: Option<Manifest>,
    /// The manifest as it came.
    pub(super) manifest_bytes: Vec<u8>,
    /// The manifest's signature as it came.
    pub(super) signature: Option<Vec<u8>>,
    /// What is wrong with the whole.
    pub(super) fault: Option<Fault>,
    /// What is wrong with each deliverable.
    pub(super) faults: Vec<Option<Fault>>,
    /// Its content on disk, by name; the number is that of the deliverable.
    pub(super) kept: Vec<(String, Option<usize>, Kept)>,
    /// What all of it comes to, if it was read to its end.
    pub(super) fingerprint: Option<Sha256Digest>,
}

/// What bounds the reading.
pub(super) struct Bounds<'a> {
    pub(super) settings: &'a Settings,
    /// What there is room for.
    pub(super) room: Room,
    /// Whether what is good of it is taken when the rest is not.
    pub(super) partial: bool,
    pub(super) now: Timestamp,
}

enum Stop {
    Broken(Broken),
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// Reads a container. Nothing stays on disk but what the answer holds.
pub(super) fn unpack(source: impl Read, content: &dyn Content, bounds: &Bounds<'_>) -> Result<Unpacked, Broken> {
    let mut reading = Reading {
        source,
        content,
        bounds,
        read: 0,
        hash: Sha256::new(),
        buffer: vec![0; PIECE],
        seen: BTreeSet::new(),
        workplace: None,
        unpacked: Unpacked::default(),
    };
    match reading.run() {
        Ok(()) => {}
        Err(Stop::Broken(broken)) => return Err(broken),
        Err(Stop::Fault(fault)) => {
            reading.unpacked.fault.get_or_insert(fault);
            reading.unpacked.kept.clear();
            reading.drain(REST_WITHIN)?;
        }
    }
    let mut unpacked = reading.unpacked;
    let spoiled = unpacked.fault.is_some() || (!bounds.partial && unpacked.faults.iter().any(Option::is_some));
    let faults = &unpacked.faults;
    unpacked.kept.retain(|(_, item, _)| !spoiled && item.is_none_or(|item| faults.get(item).is_some_and(Option::is_none)));
    Ok(unpacked)
}

struct Reading<'a, R> {
    source: R,
    content: &'a dyn Content,
    bounds: &'a Bounds<'a>,
    read: u64,
    /// Of everything but payloads, whose digests stand for them: no byte is hashed twice.
    hash: Sha256,
    buffer: Vec<u8>,
    seen: BTreeSet<String>,
    /// Where its content is written, as soon as there is some.
    workplace: Option<Arc<Workplace>>,
    unpacked: Unpacked,
}

impl<R: Read> Reading<'_, R> {
    fn run(&mut self) -> Result<(), Stop> {
        let first = self.header()?.filter(|header| header.name == manifest::NAME);
        let Some(first) = first else {
            return Err(malformed("the first member of a container is manifest.json").into());
        };
        self.unpacked.manifest_bytes = self.small(&first, manifest::MAX_MANIFEST)?;
        let manifest = Manifest::read(&self.unpacked.manifest_bytes)?;
        self.unpacked.faults = manifest.items.iter().map(|item| item.spec.as_ref().err().cloned()).collect();
        let manifest = self.unpacked.manifest.insert(manifest).clone();
        // These two do not matter where it turns out to be an earlier container again, so its fingerprint is wanted; but nothing of it is kept.
        if manifest.head.expires_at.is_some_and(|end| end <= self.bounds.now) {
            self.unpacked.fault = Some(Fault::at(FaultCode::ContainerExpired, "/expiresAt", "is over"));
        } else if !self.bounds.room.takes(manifest.bytes()) {
            self.unpacked.fault = Some(no_room());
        }
        let mut expected = manifest.expected();
        self.seen.insert(manifest::NAME.to_owned());
        while let Some(header) = self.header()? {
            let name = header.name.as_str();
            if !self.seen.insert(name.to_lowercase()) {
                return Err(
                    Fault::of_member(FaultCode::ContainerFormatInvalid, name, "stands in the archive before already").into()
                );
            }
            if name == manifest::SIGNATURE && self.seen.len() == 2 {
                self.unpacked.signature = Some(self.small(&header, manifest::MAX_SIGNATURE)?);
                continue;
            }
            match expected.remove(name) {
                None => {
                    return Err(Fault::of_member(FaultCode::MemberUnexpected, name, "is not named by the manifest").into());
                }
                Some(Expected::Attestation(attestation)) => {
                    limit(&header, manifest::MAX_ATTESTATION)?;
                    if let Some(fault) = self.member(&header, None, &attestation.digests)? {
                        return Err(fault.into());
                    }
                }
                Some(Expected::Payload(item, spec)) => {
                    limit(&header, self.bounds.settings.max_payload_bytes)?;
                    let digests = spec.map(|spec| spec.digests).unwrap_or_default();
                    if spec.is_some_and(|spec| spec.size != header.size) {
                        // Said before it is read: nothing of it needs to be written.
                        let detail = "is not as long as the manifest says";
                        self.blame(item, Some(Fault::of_member(FaultCode::SizeMismatch, name, detail)));
                    }
                    let fault = self.member(&header, Some(item), &digests)?;
                    self.blame(item, fault);
                }
            }
        }
        self.tail()?;
        for (name, missing) in expected {
            let fault = Fault::of_member(FaultCode::MemberMissing, name, "is named by the manifest and not there");
            match missing {
                Expected::Attestation(_) => return Err(fault.into()),
                Expected::Payload(item, _) => self.blame(item, Some(fault)),
            }
        }
        let hash = std::mem::replace(&mut self.hash, Sha256::new());
        self.unpacked.fingerprint = Some(Sha256Digest::new(hash.finish()));
        Ok(())
    }

    /// The first fault of a deliverable counts.
    fn blame(&mut self, item: usize, fault: Option<Fault>) {
        if let Some(slot) = self.unpacked.faults.get_mut(item)
            && slot.is_none()
        {
            *slot = fault;
        }
    }

    /// The next header; nothing at the first of the two blocks that end the archive.
    fn header(&mut self) -> Result<Option<Header>, Stop> {
        let mut block: Block = [0; BLOCK];
        self.fill(&mut block)?;
        self.hash.update(&block);
        Ok(Header::read(&block)?)
    }

    /// The content of a small member.
    fn small(&mut self, header: &Header, most: u64) -> Result<Vec<u8>, Stop> {
        limit(header, most)?;
        let mut bytes = vec![0; usize::try_from(header.size).unwrap_or(0)];
        self.fill(&mut bytes)?;
        self.hash.update(&bytes);
        self.padding(header)?;
        Ok(bytes)
    }

    /// Hashes a member, and puts it on disk where that may be of use; what is wrong with it.
    fn member(&mut self, header: &Header, item: Option<usize>, digests: &Digests) -> Result<Option<Fault>, Stop> {
        let spoiled = |faults: &[Option<Fault>]| match item {
            Some(item) if self.bounds.partial => faults.get(item).is_none_or(Option::is_some),
            _ => !self.bounds.partial && faults.iter().any(Option::is_some),
        };
        let wanted = self.unpacked.fault.is_none() && !spoiled(&self.unpacked.faults) && !digests.is_empty();
        let mut staged = if wanted { Some(self.workplace()?.stage().map_err(Broken::Disk)?) } else { None };
        let (mut sha_256, mut sha_512) = (Sha256::new(), digests.sha_512.map(|_| Sha512::new()));
        let mut left = header.size;
        let mut buffer = std::mem::take(&mut self.buffer);
        while left > 0 {
            let next = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..next).unwrap_or_default();
            self.fill(piece)?;
            sha_256.update(piece);
            if let Some(hash) = &mut sha_512 {
                hash.update(piece);
            }
            if let Some(staged) = &mut staged {
                staged.write_all(piece).map_err(Broken::Disk)?;
            }
            left = left.saturating_sub(u64::try_from(next).unwrap_or(u64::MAX));
        }
        self.buffer = buffer;
        let digest = Sha256Digest::new(sha_256.finish());
        self.hash.update(digest.as_bytes());
        self.padding(header)?;
        let differs = |name: &str| {
            Fault::of_member(FaultCode::DigestMismatch, header.name.as_str(), format!("the bytes are not those of {name}"))
        };
        if digests.sha_256.is_some_and(|promised| promised != digest) {
            return Ok(Some(differs("sha-256")));
        }
        if let (Some(promised), Some(hash)) = (digests.sha_512, sha_512)
            && promised != Sha512Digest::new(hash.finish())
        {
            return Ok(Some(differs("sha-512")));
        }
        if let Some(mut staged) = staged {
            staged.finish().map_err(Broken::Disk)?;
            self.unpacked.kept.push((header.name.clone(), item, Kept { staged, digest, size: header.size }));
        }
        Ok(None)
    }

    fn workplace(&mut self) -> Result<Arc<Workplace>, Broken> {
        if let Some(workplace) = &self.workplace {
            return Ok(Arc::clone(workplace));
        }
        let workplace = self.content.workplace().map_err(Broken::Disk)?;
        Ok(Arc::clone(self.workplace.insert(workplace)))
    }

    /// Takes some of the rest, and lets it go.
    fn drain(&mut self, within: Duration) -> Result<(), Broken> {
        let (began, mut left) = (Instant::now(), MAX_REST);
        while left > 0 && began.elapsed() < within {
            let count = self.source.read(&mut self.buffer).map_err(Broken::Source)?;
            if count == 0 {
                break;
            }
            left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn padding(&mut self, header: &Header) -> Result<(), Stop> {
        let mut block: Block = [0; BLOCK];
        let rest = block.get_mut(..padding(header.size)).unwrap_or_default();
        self.fill(rest)?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(Fault::of_member(
                FaultCode::ContainerFormatInvalid,
                header.name.as_str(),
                "is filled up with other bytes than zero",
            )
            .into());
        }
        Ok(())
    }

    /// The rest of the archive after the first empty block: one more, and nothing else but zero bytes.
    fn tail(&mut self) -> Result<(), Stop> {
        let mut second: Block = [0; BLOCK];
        self.fill(&mut second)?;
        let mut length = 0_usize;
        let mut clean = second.iter().all(|byte| *byte == 0);
        while clean && length <= MAX_TAIL {
            let count = self.source.read(&mut self.buffer).map_err(Broken::Source)?;
            if count == 0 {
                self.hash.update(&length.to_be_bytes());
                return Ok(());
            }
            clean = self.buffer.get(..count).unwrap_or_default().iter().all(|byte| *byte == 0);
            length = length.saturating_add(count);
        }
        Err(malformed("the archive is followed by something").into())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Stop> {
        self.read = self.read.saturating_add(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
        if self.read > self.bounds.settings.max_container_bytes {
            let most = self.bounds.settings.max_container_bytes;
            return Err(Fault::new(FaultCode::LimitExceeded, format!("a container has at most {most} bytes")).into());
        }
        match self.source.read_exact(buffer) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(malformed("the archive ends too early").into()),
            Err(error) => Err(Broken::Source(error).into()),
        }
    }
}

fn malformed(detail: &str) -> Fault {
    Fault::new(FaultCode::ContainerFormatInvalid, detail)
}

fn limit(header: &Header, most: u64) -> Result<(), Fault> {
    if header.size <= most {
        return Ok(());
    }
    Err(Fault::of_member(FaultCode::LimitExceeded, header.name.as_str(), format!("has at most {most} bytes")))
}
