//! `dmwsi container pack`: a folder becomes a container.
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dmwsi_domain::archive::{Header, padding};
use dmwsi_domain::deliverable::FOLDER;
use dmwsi_domain::manifest::{self, Manifest};
use openssl::sha::{Sha256, Sha512};
use serde_json::{Value, json};

use crate::Failure;

/// How much is read at a time.
const PIECE: usize = 1 << 17;

#[derive(Args)]
pub(crate) struct Container {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    /// Make a container of a folder.
    ///
    /// The folder holds `manifest.json` and the files it names: `payloads/x1-2.4.0.bin`, and `attestations/…` and `manifest.p7s` where there are any.
    /// What the manifest leaves open is filled in: `size` and the digest `sha-256` of each payload, `sha-256` of each attestation. What it says
    /// already must be right. Nothing is filled in where the folder has a `manifest.p7s`, as that signs the manifest as it is.
    Pack(Pack),
}

#[derive(Args)]
struct Pack {
    /// The folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The container to write; must not be there yet. The folder's name with `.tar` when absent.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Container {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Which::Pack(pack) = self.which;
        pack.run()
    }
}

impl Pack {
    fn run(self) -> Result<(), Failure> {
        let output = match (self.output, self.folder.file_name()) {
            (Some(output), _) => output,
            (None, Some(name)) => PathBuf::from(name).with_added_extension("tar"),
            (None, None) => return Err("the folder is not given by its name, so --output is needed".into()),
        };
        let file = File::create_new(&output).map_err(|error| format!("cannot write {}: {error}", output.display()))?;
        let written = pack(&self.folder, file);
        if written.is_err() {
            // Half a container is none.
            fs::remove_file(&output)?;
        }
        println!("{}: {} bytes", output.display(), written?);
        Ok(())
    }
}

/// Writes the container of a folder; how long it is.
pub(crate) fn pack(folder: &Path, output: File) -> Result<u64, Failure> {
    let bytes = read(folder, manifest::NAME)?;
    let signature = folder.join(manifest::SIGNATURE);
    let signature = if signature.exists() { Some(fs::read(signature)?) } else { None };
    let (completed, manifest) = complete(folder, &bytes)?;
    if signature.is_some() && completed != bytes {
        return Err("manifest.p7s signs a manifest in which sizes or digests are still open".into());
    }
    for item in &manifest.items {
        if let Err(fault) = &item.spec {
            return Err(format!("{} {}", fault.pointer.as_deref().unwrap_or_default(), fault.detail).into());
        }
    }
    let mut tar = Tar { output: BufWriter::with_capacity(PIECE, output), length: 0 };
    tar.member(manifest::NAME, completed.len(), &*completed)?;
    if let Some(signature) = signature {
        tar.member(manifest::SIGNATURE, signature.len(), &*signature)?;
    }
    let attestations = manifest.head.attestations.iter().map(|attestation| attestation.path.as_str());
    let payloads = manifest.items.iter().flat_map(|item| &item.members).map(String::as_str);
    for name in attestations.chain(payloads) {
        let file = open(folder, name)?;
        let length = usize::try_from(file.metadata()?.len())?;
        tar.member(name, length, file)?;
    }
    tar.finish()
}

/// Fills in what the manifest leaves open; where it leaves nothing open it stays as it is, byte for byte.
fn complete(folder: &Path, bytes: &[u8]) -> Result<(Vec<u8>, Manifest), Failure> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| format!("manifest.json: {error}"))?;
    let mut changed = false;
    let deliverables = value.get_mut("deliverables").and_then(Value::as_array_mut).into_iter().flatten();
    for payload in deliverables.filter_map(|one| one.get_mut("payloads")?.as_array_mut()).flatten() {
        changed |= fill(folder, payload, true)?;
    }
    for attestation in value.get_mut("attestations").and_then(Value::as_array_mut).into_iter().flatten() {
        changed |= fill(folder, attestation, false)?;
    }
    let bytes = if changed { serde_json::to_vec_pretty(&value)? } else { bytes.to_vec() };
    let manifest = Manifest::read(&bytes).map_err(|fault| match &fault.pointer {
        Some(pointer) => format!("manifest.json: {pointer}: {fault}"),
        None => format!("manifest.json: {fault}"),
    })?;
    Ok((bytes, manifest))
}

/// Fills in length and digest of one file; an error where the manifest says something else already.
fn fill(folder: &Path, member: &mut Value, has_size: bool) -> Result<bool, Failure> {
    let Some(path) = member.get("path").and_then(Value::as_str).map(str::to_owned) else {
        return Err(format!("manifest.json: a file has no `path`, such as `{FOLDER}x1-2.4.0.bin`").into());
    };
    let Measured { size, sha_256, sha_512 } = measure(open(folder, &path)?)?;
    let mut changed = false;
    let object = member.as_object_mut().ok_or("manifest.json: a file is no object")?;
    if has_size {
        match object.get("size").and_then(Value::as_u64) {
            Some(said) if said != size => return Err(format!("{path} has {size} bytes, the manifest says {said}").into()),
            Some(_) => {}
            None => {
                object.insert("size".to_owned(), size.into());
                changed = true;
            }
        }
    }
    let digests = object.entry("digests").or_insert_with(|| json!({}));
    let digests = digests.as_object_mut().ok_or("manifest.json: `digests` is an object")?;
    match digests.get("sha-256").and_then(Value::as_str) {
        Some(said) if said != sha_256 => return Err(format!("{path} is not what `sha-256` says").into()),
        Some(_) => {}
        None => {
            digests.insert("sha-256".to_owned(), sha_256.into());
            changed = true;
        }
    }
    if digests.get("sha-512").and_then(Value::as_str).is_some_and(|said| said != sha_512) {
        return Err(format!("{path} is not what `sha-512` says").into());
    }
    Ok(changed)
}

/// A file's length in bytes, and its digests in hexadecimal digits.
struct Measured {
    size: u64,
    sha_256: String,
    sha_512: String,
}

fn measure(file: File) -> Result<Measured, Failure> {
    let mut reader = BufReader::with_capacity(PIECE, file);
    let (mut sha_256, mut sha_512, mut size, mut buffer) = (Sha256::new(), Sha512::new(), 0_u64, vec![0; PIECE]);
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(Measured { size, sha_256: hex(&sha_256.finish()), sha_512: hex(&sha_512.finish()) });
        }
        let piece = buffer.get(..count).unwrap_or_default();
        sha_256.update(piece);
        sha_512.update(piece);
        size = size.saturating_add(u64::try_from(count)?);
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn open(folder: &Path, name: &str) -> Result<File, Failure> {
    File::open(folder.join(name)).map_err(|error| format!("cannot read {name}: {error}").into())
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    fs::read(folder.join(name)).map_err(|error| format!("cannot read {name}: {error}").into())
}

/// A tar that is being written.
struct Tar {
    output: BufWriter<File>,
    length: u64,
}

impl Tar {
    fn member(&mut self, name: &str, length: usize, content: impl Read) -> Result<(), Failure> {
        let size = u64::try_from(length)?;
        let header = Header { name: name.to_owned(), size };
        self.put(&header.write().ok_or_else(|| format!("{name} is too long, or its name is"))?)?;
        let copied = io::copy(&mut content.take(size), &mut self.output)?;
        if copied != size {
            return Err(format!("{name} became shorter").into());
        }
        self.length = self.length.saturating_add(size);
        self.put(&vec![0; padding(size)])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.output.write_all(bytes)?;
        self.length = self.length.saturating_add(u64::try_from(bytes.len())?);
        Ok(())
    }

    fn finish(mut self) -> Result<u64, Failure> {
        self.put(&[0; 1024])?;
        self.output.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(self.length)
    }
}
