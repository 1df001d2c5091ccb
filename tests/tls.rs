//! The transport: what leaves the machine is encrypted, and nobody on the way reads or changes it.
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi::{Role, start};
use dmwsi_domain::Clock;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVersion};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509Builder, X509NameBuilder};

use crate::harness::Database;
use crate::harness::forge::stranger;
use crate::harness::server::Server;

/// A certificate of its own for 127.0.0.1, and its key, as files.
struct Certificate {
    folder: tempfile::TempDir,
}

impl Certificate {
    fn new() -> Self {
        let key = PKey::from_ec_key(stranger()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "127.0.0.1").unwrap();
        let name = name.build();
        let mut made = X509Builder::new().unwrap();
        made.set_version(2).unwrap();
        made.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
        made.set_subject_name(&name).unwrap();
        made.set_issuer_name(&name).unwrap();
        made.set_pubkey(&key).unwrap();
        made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        made.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
        let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&made.x509v3_context(None, None)).unwrap();
        made.append_extension(names).unwrap();
        made.sign(&key, MessageDigest::sha256()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("certificate.pem"), made.build().to_pem().unwrap()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    async fn server(&self, database: &Database) -> Server {
        let set = |config: &mut Config| {
            config.listen.certificate = Some(self.file());
            config.listen.private_key = Some(self.folder.path().join("key.pem"));
            config.public_url = "https://127.0.0.1:0".into();
        };
        Server::with(database, Keys::mint().unwrap(), Clock::System, set).await
    }

    /// Shakes hands in that version only, trusting this certificate only.
    fn connect(&self, address: SocketAddr, version: SslVersion) -> Result<SslStream<TcpStream>, String> {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_ca_file(self.file()).unwrap();
        // Without it this side would refuse the old versions by itself.
        connector.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        connector.set_min_proto_version(Some(version)).unwrap();
        connector.set_max_proto_version(Some(version)).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        connector.build().connect("127.0.0.1", stream).map_err(|error| error.to_string())
    }
}

/// A request over that stream and all of the answer; nothing where it breaks off.
fn ask(stream: &mut SslStream<TcpStream>) -> Option<String> {
    let request = "GET /openapi.yaml HTTP/1.1\r\nHost: 127.0.0.1\r\nx-correlator: swordfish\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// Stands between client and server, keeps what passes, and flips one bit on the way when told to.
struct Between {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    flip_up: Arc<AtomicBool>,
    flip_down: Arc<AtomicBool>,
}

impl Between {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let between = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            flip_up: Arc::default(),
            flip_down: Arc::default(),
        };
        let (seen, up, down) = (Arc::clone(&between.seen), Arc::clone(&between.flip_up), Arc::clone(&between.flip_down));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(server).unwrap();
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&seen), Arc::clone(&up));
                pass(server, client, Arc::clone(&seen), Arc::clone(&down));
            }
        });
        between
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, seen: Arc<Mutex<Vec<u8>>>, flip: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if flip.swap(false, Ordering::SeqCst) {
                buffer[count - 1] ^= 1;
            }
            seen.lock().unwrap().extend_from_slice(&buffer[..count]);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        // An error means that the other direction has closed it already.
        drop(to.shutdown(Shutdown::Write));
    });
}

/// ES5
#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_1_3_are_spoken_and_older_versions_are_not() {
    let certificate = Certificate::new();
    let server = certificate.server(&Database::sqlite()).await;
    let address = server.running.address();
    let tried = tokio::task::spawn_blocking(move || {
        for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
            let mut stream = certificate.connect(address, version).unwrap();
            let answer = ask(&mut stream).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-correlator: swordfish"), "{answer}");
            assert!(answer.to_lowercase().contains("strict-transport-security: max-age="));
        }
        for version in [SslVersion::TLS1, SslVersion::TLS1_1] {
            let error = certificate.connect(address, version).err().unwrap();
            // Told by the server's alert, not refused by this side.
            assert!(error.contains("alert protocol version"), "{error}");
        }
        // Who does not know the certificate does not talk to the server.
        assert!(Certificate::new().connect(address, SslVersion::TLS1_3).is_err());
        // Plain HTTP gets no answer of HTTP.
        let mut plain = TcpStream::connect(address).unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        drop(plain.read_to_end(&mut answer));
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    });
    tried.await.unwrap();
    server.stop().await;
}

/// ES1, OES2, OES3: who stands between sees nothing of the payload, and what they change is refused on either side.
#[tokio::test(flavor = "multi_thread")]
async fn who_stands_between_can_neither_read_nor_change_anything() {
    let certificate = Certificate::new();
    let server = certificate.server(&Database::sqlite()).await;
    let between = Between::before(server.running.address());
    let tried = tokio::task::spawn_blocking(move || {
        let mut stream = certificate.connect(between.address, SslVersion::TLS1_3).unwrap();
        let answer = ask(&mut stream).unwrap();
        assert!(answer.contains("openapi: 3.1.0"));
        let seen = between.seen.lock().unwrap().clone();
        assert!(seen.len() > answer.len(), "all of it passed here");
        for word in ["swordfish", "openapi", "GET /", "HTTP/1.1"] {
            assert!(!seen.windows(word.len()).any(|part| part == word.as_bytes()), "{word} was seen");
        }
        for (flip, direction) in [(&between.flip_up, "up"), (&between.flip_down, "down")] {
            // In 1.2 nothing follows the handshake by itself, so the bit that flips is one of the payload.
            let mut stream = certificate.connect(between.address, SslVersion::TLS1_2).unwrap();
            flip.store(true, Ordering::SeqCst);
            assert_eq!(ask(&mut stream), None, "{direction}");
            assert!(!flip.load(Ordering::SeqCst), "{direction}: a bit was flipped");
        }
    });
    tried.await.unwrap();
    server.stop().await;
}

/// ES2, OES3
#[tokio::test]
async fn plain_http_does_not_leave_the_machine() {
    let database = Database::sqlite();
    for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        for section in ["address", "devices", "metrics"] {
            let mut config = Config::from_text(&format!("[listen]\n{section} = '{open}'")).unwrap();
            config.store = database.settings();
            let refused = start(config, Keys::mint().unwrap(), Role::All, Clock::System).await.err().unwrap();
            assert!(refused.to_string().contains("plain HTTP on"), "{section} {open}: {refused}");
        }
    }
    let half = Config::from_text("[listen]\nprivateKey = 'key.pem'").unwrap();
    assert!(start(half, Keys::mint().unwrap(), Role::All, Clock::System).await.is_err());
}
