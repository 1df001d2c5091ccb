//! An authority of the test's own, which issues certificates.
use std::path::PathBuf;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
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
