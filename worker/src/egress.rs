//! Connections to where external systems say: only to addresses that were judged, and with no second look at the name.
use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dmwsi_domain::egress::{Egress, Forbidden};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Proxy, redirect};
use url::{Host, Url};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long it may take to find the addresses of a name.
const LOOKUP: Duration = Duration::from_secs(3);

/// Finds the addresses of a name.
type Lookup = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync>;

/// Resolves names and lets nothing through that is not public or allowed. A copy is the same guard.
#[derive(Clone)]
pub struct Guard {
    egress: Arc<Egress>,
    lookup: Lookup,
    proxy: Option<Proxy>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("egress", &self.egress).finish_non_exhaustive()
    }
}

/// An address that leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The server does not connect to it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The name stands for no address, or nobody knows for which at the moment.
    #[error("the name cannot be resolved")]
    Name(#[from] io::Error),
}

impl Guard {
    /// A guard with the system's resolver.
    #[must_use]
    pub fn new(egress: Egress) -> Self {
        Self::with_lookup(egress, |name| async move {
            // A resolver asks for a port, and gives it back.
            Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
        })
    }

    /// A guard with a resolver of one's own.
    pub fn with_lookup<F>(egress: Egress, lookup: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        Self { egress: Arc::new(egress), lookup: Arc::new(move |name| Box::pin(lookup(name))), proxy: None }
    }

    /// The same guard where a proxy of the operator's makes the connections. It is the only address that is connected to then, and is not judged. What is
    /// to be reached is judged as ever, by its text and by the addresses its name stands for here; but the proxy looks the name up once more, so only the
    /// proxy can refuse a name that stands for something else there, and names that nobody here knows.
    pub fn through(self, proxy: &Url) -> reqwest::Result<Self> {
        Ok(Self { proxy: Some(Proxy::all(proxy.as_str())?), ..self })
    }

    /// The addresses of a host, all of them judged: one that is forbidden spoils them all. A host that is named in the settings is not judged.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Unreachable> {
        if let Ok(address) = host.parse::<IpAddr>() {
            self.egress.judge(address)?;
            return Ok(vec![address]);
        }
        self.egress.judge_host(host)?;
        let found = tokio::time::timeout(LOOKUP, (self.lookup)(host.to_owned())).await.map_err(io::Error::from)??;
        if !self.egress.trusts(host) {
            found.iter().try_for_each(|address| self.egress.judge(*address))?;
        }
        if found.is_empty() { Err(io::Error::from(io::ErrorKind::NotFound).into()) } else { Ok(found) }
    }

    /// Whether a URL may be followed, as far as its text tells. A client of [`Guard::client`] judges the addresses of names, not addresses in the URL.
    pub fn judge_url(&self, url: &Url) -> Result<(), Forbidden> {
        self.egress.judge_url(url)
    }

    /// Whether events may be delivered to a URL, as far as its text tells.
    pub fn judge_sink(&self, url: &Url) -> Result<(), Forbidden> {
        self.egress.judge_sink(url)
    }

    /// The URL, if events may be delivered to it now. Where connections are made here its name is judged with each; a proxy is given nothing whose name
    /// is known here to lead inside.
    pub async fn judge_at_use<'u>(&self, url: Option<&'u Url>) -> Result<&'u Url, Forbidden> {
        let url = url.ok_or(Forbidden)?;
        self.judge_sink(url)?;
        if let (Some(_), Some(Host::Domain(name))) = (&self.proxy, url.host())
            && let Err(Unreachable::Forbidden(forbidden)) = self.resolve(name).await
        {
            return Err(forbidden);
        }
        Ok(url)
    }

    /// An HTTP client that connects to judged addresses only: it follows no redirects and knows no proxies but that of [`Self::through`]. It gives an
    /// answer up after `timeout`.
    pub fn client(&self, timeout: Duration) -> reqwest::Result<Client> {
        self.builder(timeout).build()
    }

    /// The same, to be set up further.
    pub fn builder(&self, timeout: Duration) -> ClientBuilder {
        let builder = Client::builder()
            .user_agent(concat!("dmwsi/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout);
        match &self.proxy {
            Some(proxy) => builder.proxy(proxy.clone()),
            None => builder.no_proxy().dns_resolver(Arc::new(self.clone())),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = Self::resolve(&guard, name.as_str()).await?;
            // The port is filled in by who asked.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Whether a request failed because the guard did not let it through.
#[must_use]
pub fn is_forbidden(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<Forbidden>() || matches!(error.downcast_ref(), Some(Unreachable::Forbidden(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A guard for which every name stands for these addresses.
    fn guard(allow: &[&str], addresses: &'static [&'static str]) -> Guard {
        let egress = Egress::allowing(allow.iter().copied()).unwrap();
        Guard::with_lookup(egress, async |_name| Ok(addresses.iter().map(|address| address.parse().unwrap()).collect()))
    }

    /// API7
    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_even_by_one_of_its_addresses() {
        for addresses in [&["127.0.0.1"][..], &["8.8.8.8", "10.0.0.1"], &["::ffff:169.254.169.254"], &["2606:4700::1", "fe80::1"]]
        {
            let refused = guard(&[], addresses).resolve("push.example").await;
            assert!(matches!(refused, Err(Unreachable::Forbidden(_))), "{addresses:?}");
        }
        assert_eq!(guard(&[], &["8.8.8.8"]).resolve("push.example").await.unwrap().len(), 1);
        assert_eq!(guard(&["push.example"], &["10.0.0.1"]).resolve("push.example").await.unwrap().len(), 1);
        assert_eq!(guard(&["10.0.0.0/8"], &["10.0.0.1"]).resolve("push.example").await.unwrap().len(), 1);
        assert!(matches!(guard(&[], &[]).resolve("push.example").await, Err(Unreachable::Name(_))));
    }

    #[tokio::test]
    async fn a_name_of_which_nobody_tells_is_given_up() {
        let guard = Guard::with_lookup(Egress::default(), |_name| std::future::pending());
        let began = tokio::time::Instant::now();
        let given_up = guard.resolve("push.example").await;
        assert!(matches!(given_up, Err(Unreachable::Name(error)) if error.kind() == io::ErrorKind::TimedOut));
        assert!(began.elapsed() < LOOKUP * 3);
    }

    /// API7: a real name of the system's.
    #[tokio::test]
    async fn a_host_name_that_stands_for_loopback_is_refused() {
        for name in ["localhost", "LocalHost.", "ip6-localhost", "0x7f000001", "127.1"] {
            assert!(Guard::new(Egress::default()).resolve(name).await.is_err(), "{name}");
        }
        let allowed = Guard::new(Egress::allowing(["localhost"]).unwrap()).resolve("localhost").await.unwrap();
        assert!(allowed.iter().all(IpAddr::is_loopback));
    }

    /// API7: first where it may go, then inside.
    #[tokio::test]
    async fn a_name_is_looked_up_once_for_a_connection_and_that_answer_is_used() {
        let outside = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = outside.local_addr().unwrap().port();
        let inside = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let answer = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        tokio::spawn(async move {
            let (mut stream, _peer) = outside.accept().await.unwrap();
            let mut request = [0; 1_024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let guard = Guard::with_lookup(Egress::allowing(["127.0.0.2/32"]).unwrap(), move |_name| {
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move { Ok(vec![if first { "127.0.0.2" } else { "127.0.0.1" }.parse().unwrap()]) }
        });
        let client = guard.client(Duration::from_secs(2)).unwrap();
        let url = format!("http://push.example:{port}/");
        assert_eq!(client.get(&url).send().await.unwrap().status(), 204);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let failed = client.get(&url).send().await.unwrap_err();
        assert!(is_forbidden(&failed), "{failed:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert!(tokio::time::timeout(Duration::from_millis(100), inside.accept()).await.is_err(), "nobody came in");
    }
}
