//! Where this server may connect to on somebody else's word: not into its own network.
//!
//! What an external system names (an address to push to, a package to fetch, later a webhook) is judged when it is given, by its text, and once
//! more by every address its name stands for, when it is used.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::Error;
use crate::push_address::PushAddress;

/// Ranges of IPv4 that are not public, or not for one host (IANA IPv4 Special-Purpose Address Registry).
const CLOSED_4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The only range of IPv6 that has public addresses: loopback, link-local, unique local, multicast, NAT64 and the rest lie outside of it.
const OPEN_6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Ranges within it that are not public: protocols and Teredo, documentation, 6to4.
const CLOSED_6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3FFF, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Endings of names that lead into a network of one's own, whatever they stand for.
const CLOSED_NAMES: [&str; 6] = ["localhost", "local", "internal", "home.arpa", "intranet", "lan"];

/// The ports below 1024 that a URL may name.
const LOW_PORTS: [u16; 2] = [80, 443];

/// The section `egress` of the settings.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Egress {
    /// What may be connected to although it is not public: ranges of addresses (`10.20.0.0/16`), addresses, and names of hosts. Empty by default.
    pub allow: Vec<Allowed>,
}

/// One thing that may be connected to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Allowed {
    /// A host of that name, in lower case, whatever its address.
    Name(String),
    /// The addresses of a range.
    Net(IpNet),
}

impl TryFrom<String> for Allowed {
    type Error = NotAllowed;

    fn try_from(text: String) -> Result<Self, NotAllowed> {
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match (net, Host::parse(&text)) {
            (Some(net), _) => Ok(Self::Net(net.trunc())),
            (None, Ok(Host::Domain(name))) => Ok(Self::Name(name)),
            (None, _) => Err(NotAllowed),
        }
    }
}

impl From<Allowed> for String {
    fn from(allowed: Allowed) -> Self {
        match allowed {
            Allowed::Name(name) => name,
            Allowed::Net(net) => net.to_string(),
        }
    }
}

/// The text names nothing that could be allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("egress.allow names ranges of addresses (10.20.0.0/16), addresses and hosts")]
pub struct NotAllowed;

/// This server does not connect to that. One text for all reasons, so that nobody learns what is where.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this server does not connect to that address")]
pub struct Forbidden;

impl Forbidden {
    /// The refusal of a request that names the address at `pointer`.
    #[must_use]
    pub fn at(self, pointer: &str) -> Error {
        Error::invalid(pointer, "ADDRESS_FORBIDDEN", self.to_string())
    }
}

impl Egress {
    /// Nothing is allowed but what is public and what these texts name.
    pub fn allowing<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, NotAllowed> {
        let allow = texts.into_iter().map(|text| Allowed::try_from(text.to_owned())).collect::<Result<_, _>>()?;
        Ok(Self { allow })
    }

    /// Whether an address may be connected to. An IPv4 address within one of IPv6 is judged as what it is.
    pub fn judge(&self, address: IpAddr) -> Result<(), Forbidden> {
        let canonical = canonical(address);
        let is_named =
            |address: IpAddr| self.allow.iter().any(|allowed| matches!(allowed, Allowed::Net(net) if net.contains(&address)));
        let is_open = match (address, canonical) {
            // A translator in between (NAT64, 6to4) is refused whatever it leads to.
            (IpAddr::V6(address), IpAddr::V4(inner)) => address.to_ipv4_mapped().is_some() && is_open_4(inner),
            (_, IpAddr::V4(address)) => is_open_4(address),
            (_, IpAddr::V6(address)) => is_open_6(address),
        };
        if is_open || is_named(address) || is_named(canonical) { Ok(()) } else { Err(Forbidden) }
    }

    /// Whether a host of that name is allowed whatever its address.
    #[must_use]
    pub fn trusts(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        self.allow.iter().any(|allowed| matches!(allowed, Allowed::Name(known) if known.eq_ignore_ascii_case(name)))
    }

    /// Whether a host may be connected to, as far as its text tells; a name's addresses are still to be judged.
    pub fn judge_host(&self, text: &str) -> Result<(), Forbidden> {
        if let Ok(address) = text.parse() {
            return self.judge(address);
        }
        // As an URL has it: there `0x7f.1` and `2130706433` are addresses.
        match Host::parse(text).map_err(|_malformed| Forbidden)? {
            Host::Ipv4(address) => self.judge(address.into()),
            Host::Ipv6(address) => self.judge(address.into()),
            Host::Domain(name) => self.judge_name(&name),
        }
    }

    /// Whether a URL may be followed, as far as its text tells: `http` or `https`, no user name, a usual port, and a host that may be connected to.
    pub fn judge_url(&self, url: &Url) -> Result<(), Forbidden> {
        let port = url.port_or_known_default().unwrap_or_default();
        let fits = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && (port >= 1024 || LOW_PORTS.contains(&port));
        match url.host().filter(|_| fits) {
            Some(Host::Ipv4(address)) => self.judge(address.into()),
            Some(Host::Ipv6(address)) => self.judge(address.into()),
            Some(Host::Domain(name)) => self.judge_name(name),
            None => Err(Forbidden),
        }
    }

    /// Whether events may be delivered to a URL, as far as its text tells: as [`Egress::judge_url`], without a fragment, and by `https` unless its host
    /// is named in the settings.
    pub fn judge_sink(&self, url: &Url) -> Result<(), Forbidden> {
        let fits = url.fragment().is_none() && (url.scheme() == "https" || self.names_host(url));
        if fits { self.judge_url(url) } else { Err(Forbidden) }
    }

    /// Whether the settings name the host of a URL.
    #[must_use]
    pub fn names_host(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.names(address.into()),
            Some(Host::Ipv6(address)) => self.names(address.into()),
            Some(Host::Domain(name)) => self.trusts(name),
            None => false,
        }
    }

    fn names(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|allowed| matches!(allowed, Allowed::Net(net) if net.contains(&address)))
    }

    /// Whether notifications may go to a push address, as far as its text tells. A phone number is the operator's gateway's to judge.
    pub fn judge_push(&self, address: &PushAddress) -> Result<(), Forbidden> {
        match address {
            PushAddress::None {} | PushAddress::Sms { .. } => Ok(()),
            PushAddress::Udp { host, .. } => self.judge_host(host.as_str()),
            PushAddress::Http { url } => {
                Url::parse(url.as_str()).map_err(|_malformed| Forbidden).and_then(|url| self.judge_url(&url))
            }
        }
    }

    fn judge_name(&self, name: &str) -> Result<(), Forbidden> {
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        let ends = |ending: &&str| bare.strip_suffix(*ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if self.trusts(name) || !CLOSED_NAMES.iter().any(ends) { Ok(()) } else { Err(Forbidden) }
    }
}

fn is_open_4(address: Ipv4Addr) -> bool {
    let within = |(net, bits): &(Ipv4Addr, u8)| Ipv4Net::new(*net, *bits).is_ok_and(|net| net.contains(&address));
    !CLOSED_4.iter().any(within)
}

fn is_open_6(address: Ipv6Addr) -> bool {
    let within = |(net, bits): &(Ipv6Addr, u8)| Ipv6Net::new(*net, *bits).is_ok_and(|net| net.contains(&address));
    within(&OPEN_6) && !CLOSED_6.iter().any(within)
}

/// The address of IPv4 within one of IPv6 (mapped, compatible, NAT64, 6to4); any other as it is.
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::from([a, b, c, d])
    };
    match six.segments() {
        [0, 0, 0, 0, 0, 0xFFFF, high, low] | [0x64, 0xFF9B, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => four(high, low),
        // `::` and `::1` are addresses of IPv6 in their own right.
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => four(high, low),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: [&str; 40] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "::8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001:0:1::1",
        "2001:db8::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
    ];

    fn egress(allow: &[&str]) -> Egress {
        Egress::allowing(allow.iter().copied()).unwrap()
    }

    /// API7
    #[test]
    fn what_is_not_public_is_refused_in_every_form() {
        let egress = Egress::default();
        for text in CLOSED {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(egress.judge(address), Err(Forbidden), "{text}");
            assert_eq!(egress.judge_host(text), Err(Forbidden), "{text}");
            let host = if address.is_ipv6() { format!("[{text}]") } else { text.to_owned() };
            assert_eq!(egress.judge_url(&format!("https://{host}/a").parse().unwrap()), Err(Forbidden), "{text}");
        }
        for text in ["8.8.8.8", "100.63.255.255", "172.32.0.1", "::ffff:8.8.8.8", "2606:4700::1", "2001:4860:4860::8888"] {
            assert_eq!(egress.judge(text.parse().unwrap()), Ok(()), "{text}");
        }
    }

    /// API7
    #[test]
    fn an_address_in_disguise_is_an_address() {
        let egress = Egress::default();
        for host in ["127.1", "0x7f000001", "0x7f.1", "2130706433", "017700000001", "0", "localhost", "a.localhost", "LOCALHOST."]
        {
            assert_eq!(egress.judge_host(host), Err(Forbidden), "{host}");
            assert_eq!(egress.judge_url(&format!("http://{host}/").parse().unwrap()), Err(Forbidden), "{host}");
        }
        for host in ["metadata.google.internal", "printer.local", "router.lan"] {
            assert_eq!(egress.judge_host(host), Err(Forbidden), "{host}");
        }
        for host in ["push.example.com", "mylocalhost.example", "xn--bcher-kva.example"] {
            assert_eq!(egress.judge_host(host), Ok(()), "{host}");
        }
    }

    /// API7
    #[test]
    fn a_url_has_a_usual_scheme_and_port_and_names_no_user() {
        let egress = Egress::default();
        for url in [
            "ftp://files.example/a",
            "file:///etc/passwd",
            "gopher://a.example/",
            "https://ok@a.example/",
            "https://a:b@a.example/",
            "http://a.example:22/",
            "https://a.example:25/",
            "data:text/plain,a",
        ] {
            assert_eq!(egress.judge_url(&url.parse().unwrap()), Err(Forbidden), "{url}");
        }
        for url in ["http://a.example/b?c#d", "https://a.example:8443/", "https://a.example:443/", "http://93.184.216.34/"] {
            assert_eq!(egress.judge_url(&url.parse().unwrap()), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_is_allowed_is_let_through_and_nothing_beside_it() {
        let egress = egress(&["10.20.0.0/16", "127.0.0.1", "fd00::/8", "Push.Internal"]);
        for host in ["10.20.3.4", "127.0.0.1", "::ffff:10.20.3.4", "64:ff9b::a14:304", "fd12::1", "push.internal"] {
            assert_eq!(egress.judge_host(host), Ok(()), "{host}");
        }
        for host in ["10.21.0.1", "127.0.0.2", "fe80::1", "other.internal", "a.push.internal"] {
            assert_eq!(egress.judge_host(host), Err(Forbidden), "{host}");
        }
        assert!(egress.trusts("push.internal") && !egress.trusts("push.example"));
        for wrong in ["", "10.0.0.0/33", "a b", "0x7f.1"] {
            assert_eq!(Allowed::try_from(wrong.to_owned()), Err(NotAllowed), "{wrong}");
        }
        let settings: Egress = serde_json::from_str(r#"{"allow": ["10.1.2.3/8", "h"]}"#).unwrap();
        assert_eq!(serde_json::to_string(&settings).unwrap(), r#"{"allow":["10.0.0.0/8","h"]}"#);
    }
}
