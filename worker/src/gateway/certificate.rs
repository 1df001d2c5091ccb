//! The certificate that a TLS client has shown, as far as it says who a device is.
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::x509::X509Ref;

/// What stands before the fingerprint of a certificate where it is named by that.
const FINGERPRINT: &str = "sha256:";

/// The certificate of a TLS client, which an authority that is trusted with devices has issued. The listener that has shaken hands puts one
/// among the data of the connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    names: Vec<String>,
    fingerprint: String,
}

impl Certificate {
    /// What a certificate says: the common names of its subject, its alternative names that are DNS names or URIs, and what it is itself.
    /// None where it cannot be read.
    #[must_use]
    pub fn of(certificate: &X509Ref) -> Option<Self> {
        let digest = certificate.digest(MessageDigest::sha256()).ok()?;
        let fingerprint = digest.iter().fold(String::new(), |text, octet| format!("{text}{octet:02x}"));
        let subject = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
        // A text would end at a NUL within it, and be another name.
        let subject = subject.filter(|entry| !entry.data().as_slice().contains(&0));
        let mut names: Vec<String> = subject.filter_map(|entry| Some(entry.data().to_string().ok()?.to_string())).collect();
        for name in certificate.subject_alt_names().into_iter().flatten() {
            names.extend(name.dnsname().or_else(|| name.uri()).map(str::to_owned));
        }
        Some(Self { names, fingerprint })
    }

    /// Whether it is the certificate of who is known by that name.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match name.get(..FINGERPRINT.len()).filter(|start| start.eq_ignore_ascii_case(FINGERPRINT)) {
            Some(start) => name.trim_start_matches(start).replace(':', "").eq_ignore_ascii_case(&self.fingerprint),
            None => self.names.iter().any(|own| own == name),
        }
    }

    /// SHA-256 of it in hexadecimal digits.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_names_or_by_what_it_is() {
        let certificate =
            Certificate { names: vec!["IMEI:1".to_owned(), "one.example".to_owned()], fingerprint: "00ff".repeat(16) };
        for name in
            ["IMEI:1", "one.example", &format!("sha256:{}", "00FF".repeat(16)), &format!("SHA256:{}", "00:ff:".repeat(16))]
        {
            assert!(certificate.is_of(name), "{name}");
        }
        for name in ["", "IMEI:2", "imei:1", "IMEI:10", "sha256:", "sha256:00", &"00ff".repeat(16)] {
            assert!(!certificate.is_of(name), "{name}");
        }
    }
}
