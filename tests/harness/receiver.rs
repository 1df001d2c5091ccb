//! A receiver of events that answers as a test wants it to.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey};
use openssl::sign::{Signer, Verifier};
use openssl::ssl::{Ssl, SslAcceptor, SslFiletype, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_openssl::SslStream;

use super::authority::{Authority, Issued};
use super::eventually;

/// A request that came in.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// When all of it had come.
    pub(crate) at: Instant,
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// By these lines: the status, then headers.
    Says(String),
    /// By these lines after a while.
    SaysSlowly(Duration, String),
    /// By 204 after a while.
    Slowly(Duration),
    /// Not at all: the connection stays open.
    Never,
    /// By 200 and more bytes than anybody wants.
    Floods,
}

/// Decides by a request and how many came before it.
type Decide = Arc<dyn Fn(&Came, usize) -> Reply + Send + Sync>;

/// A receiver on this machine.
pub(crate) struct Receiver {
    pub(crate) url: String,
    came: Arc<Mutex<Vec<Came>>>,
    decide: Arc<Mutex<Decide>>,
    flooded: Arc<AtomicUsize>,
}

/// 204.
pub(crate) fn taken() -> Reply {
    says("204 No Content")
}

/// Such a status line.
pub(crate) fn says(lines: &str) -> Reply {
    Reply::Says(lines.to_owned())
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The CloudEvent.
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The type of the event, without what all begin with.
    pub(crate) fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().strip_prefix("dmwsi.v1.").unwrap().to_owned()
    }

    /// Whether one of its signatures is by that key.
    pub(crate) fn is_signed_by(&self, key: &str) -> bool {
        let signed = format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        self.header("webhook-signature").split(' ').any(|signature| match (signature.split_once(','), key.split_once('_')) {
            (Some(("v1", mac)), Some(("whsec", secret))) => {
                let secret = PKey::hmac(&STANDARD.decode(secret).unwrap()).unwrap();
                let mut signer = Signer::new(MessageDigest::sha256(), &secret).unwrap();
                STANDARD.encode(signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap()) == mac
            }
            (Some(("v1a", signature)), Some(("whpk", public))) => {
                let public = PKey::public_key_from_raw_bytes(&STANDARD.decode(public).unwrap(), Id::ED25519).unwrap();
                let mut verifier = Verifier::new_without_digest(&public).unwrap();
                verifier.verify_oneshot(&STANDARD.decode(signature).unwrap(), signed.as_bytes()).unwrap()
            }
            _ => false,
        })
    }
}

impl Receiver {
    /// One that answers so.
    pub(crate) async fn open(decide: impl Fn(&Came, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", decide).await
    }

    /// One that takes everything.
    pub(crate) async fn taking() -> Self {
        Self::open(|_, _| taken()).await
    }

    /// One at that address.
    pub(crate) async fn at(address: &str, decide: impl Fn(&Came, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::behind(address, None, decide).await
    }

    /// One that speaks TLS by that certificate. Where it has an authority it talks only to those who show a certificate of that; then the name in it
    /// stands among the headers as `:peer`.
    pub(crate) async fn secure(
        address: &str,
        issued: &Issued,
        clients: Option<&Authority>,
        decide: impl Fn(&Came, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let mut tls = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, pem: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path
        };
        tls.set_certificate_chain_file(file("certificate.pem", &issued.certificate)).unwrap();
        tls.set_private_key_file(file("key.pem", &issued.key), SslFiletype::PEM).unwrap();
        if let Some(authority) = clients {
            tls.set_ca_file(authority.file()).unwrap();
            tls.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        Self::behind(address, Some(tls.build()), decide).await
    }

    async fn behind(
        address: &str,
        tls: Option<SslAcceptor>,
        decide: impl Fn(&Came, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/events", listener.local_addr().unwrap());
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Arc::new(decide)));
        let receiver = Self { url, came: Arc::default(), decide, flooded: Arc::default() };
        let (came, decide, flooded) = (Arc::clone(&receiver.came), Arc::clone(&receiver.decide), Arc::clone(&receiver.flooded));
        tokio::spawn(async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                let (came, decide, flooded) = (Arc::clone(&came), Arc::clone(&decide), Arc::clone(&flooded));
                let tls = tls.as_ref().map(|tls| Ssl::new(tls.context()).unwrap());
                tokio::spawn(async move {
                    let Some(tls) = tls else { return drop(serve(stream, None, came, decide, flooded).await) };
                    let mut stream = SslStream::new(tls, stream).unwrap();
                    if std::pin::Pin::new(&mut stream).accept().await.is_ok() {
                        let peer = stream.ssl().peer_certificate().map(|certificate| common_name(&certificate));
                        drop(serve(stream, peer, came, decide, flooded).await);
                    }
                });
            }
        });
        receiver
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        url::Url::parse(&self.url).unwrap().port().unwrap()
    }

    /// From now on it answers so.
    pub(crate) fn answer(&self, decide: impl Fn(&Came, usize) -> Reply + Send + Sync + 'static) {
        *self.decide.lock().unwrap() = Arc::new(decide);
    }

    /// What came so far is not kept.
    pub(crate) fn forget(&self) {
        self.came.lock().unwrap().clear();
    }

    /// What came so far.
    pub(crate) fn all(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// How many bytes it got rid of by [`Reply::Floods`]: what was read of them, and what the buffers between took.
    pub(crate) fn flooded(&self) -> usize {
        self.flooded.load(Ordering::Relaxed)
    }

    /// What came of these types.
    pub(crate) fn of(&self, kind: &str) -> Vec<Came> {
        self.all().into_iter().filter(|came| came.method == "POST" && came.kind() == kind).collect()
    }

    /// Waits until so many of that type have come.
    pub(crate) async fn heard(&self, kind: &str, count: usize) -> Vec<Came> {
        eventually(&format!("{count} {kind}"), async || self.of(kind).len() >= count).await;
        self.of(kind)
    }
}

fn common_name(certificate: &X509) -> String {
    let mut names = certificate.subject_name().entries();
    names.next().unwrap().data().to_string().unwrap()
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Option<String>,
    all: Arc<Mutex<Vec<Came>>>,
    decide: Arc<Mutex<Decide>>,
    flooded: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers: BTreeMap<_, _> = peer.iter().map(|peer| (":peer".to_owned(), peer.clone())).collect();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let came = Came { method, path, headers, body: String::from_utf8(body).unwrap(), at: Instant::now() };
        let reply = {
            let mut all = all.lock().unwrap();
            let reply = (decide.lock().unwrap())(&came, all.len());
            all.push(came);
            reply
        };
        match reply {
            Reply::Says(lines) => {
                // A body of its own follows an empty line.
                let text = if lines.contains("\r\n\r\n") { lines } else { format!("{lines}\r\ncontent-length: 0\r\n\r\n") };
                stream.write_all(format!("HTTP/1.1 {text}").as_bytes()).await?;
            }
            Reply::SaysSlowly(wait, lines) => {
                tokio::time::sleep(wait).await;
                stream.write_all(format!("HTTP/1.1 {lines}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
            }
            Reply::Slowly(wait) => {
                tokio::time::sleep(wait).await;
                stream.write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").await?;
            }
            Reply::Never => std::future::pending::<()>().await,
            Reply::Floods => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await?;
                loop {
                    flooded.fetch_add(stream.write(&[b'x'; 65_536]).await?, Ordering::Relaxed);
                }
            }
        }
    }
}
