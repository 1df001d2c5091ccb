//! An authority of the test's own, which issues certificates.
use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_domain::Clock;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

use super::forge::stranger;

/// The authority.
pub(crate) struct Authority {
    key: PKey<Private>,
    certificate: X509,
    folder: tempfile::TempDir,
}

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = PKey::from_ec_key(stranger()).unwrap();
        let name = named("an authority of tests");
        let mut made = begun(&name, &name, &key);
        made.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        made.sign(&key, MessageDigest::sha256()).unwrap();
        let (certificate, folder) = (made.build(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("authority.pem"), certificate.to_pem().unwrap()).unwrap();
        Self { key, certificate, folder }
    }

    /// Its own certificate, as a file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Its list of revoked certificates, in PEM (RFC 5280, 5.1), which begins and ends so many days from now.
    pub(crate) fn revoke(&self, revoked: &[&Issued], (from, until): (i64, i64)) -> String {
        // ecdsa-with-SHA256
        let algorithm = der(0x30, &[&[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]]);
        let entry = |one: &&Issued| {
            let serial = X509::from_pem(one.certificate.as_bytes()).unwrap().serial_number().to_bn().unwrap();
            der(0x30, &[&der(0x02, &[if serial.num_bits() % 8 == 0 { &[0] } else { &[] }, &serial.to_vec()]), &day(from)])
        };
        let entries: Vec<_> = revoked.iter().map(entry).collect();
        let entries = if entries.is_empty() { Vec::new() } else { der(0x30, &[&entries.concat()]) };
        let name = self.certificate.subject_name().to_der().unwrap();
        let list = der(0x30, &[&[0x02, 1, 1], &algorithm, &name, &day(from), &day(until), &entries]);
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(&list).unwrap();
        let whole = der(0x30, &[&list, &algorithm, &der(0x03, &[&[0], &signature])]);
        format!("-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n", BASE64_STANDARD.encode(whole))
    }

    /// A certificate for these names and addresses, the first of which it is called by.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        let key = PKey::from_ec_key(stranger()).unwrap();
        let mut made = begun(&named(names[0]), self.certificate.subject_name(), &key);
        let mut alternatives = SubjectAlternativeName::new();
        for name in names {
            if name.parse::<std::net::IpAddr>().is_ok() {
                alternatives.ip(name)
            } else {
                alternatives.dns(name)
            };
        }
        let alternatives = alternatives.build(&made.x509v3_context(Some(&self.certificate), None)).unwrap();
        made.append_extension(alternatives).unwrap();
        made.sign(&self.key, MessageDigest::sha256()).unwrap();
        let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
        Issued { certificate: text(made.build().to_pem().unwrap()), key: text(key.private_key_to_pem_pkcs8().unwrap()) }
    }
}

/// A value of ASN.1 of that kind (DER); none of those here is longer than two octets can tell.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[tag, 0x82][..], &length, &value].concat()
}

/// A time so many days from now.
fn day(days: i64) -> Vec<u8> {
    let at = chrono::DateTime::from_timestamp(Clock::System.now().micros() / 1_000_000 + days * 86_400, 0).unwrap();
    der(0x18, &[at.format("%Y%m%d%H%M%SZ").to_string().as_bytes()])
}

fn named(name: &str) -> X509Name {
    let mut made = X509NameBuilder::new().unwrap();
    made.append_entry_by_text("CN", name).unwrap();
    made.build()
}

fn begun(subject: &X509Name, issuer: &openssl::x509::X509NameRef, key: &PKey<Private>) -> X509Builder {
    let mut made = X509Builder::new().unwrap();
    made.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(64, MsbOption::MAYBE_ZERO, false).unwrap();
    made.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    made.set_subject_name(subject).unwrap();
    made.set_issuer_name(issuer).unwrap();
    made.set_pubkey(key).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    made
}
