//! The settings: a file, overlaid by the environment, overlaid by the command line.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};

/// What the environment variables begin with: `DMWSI__GATEWAY__MAX_TRIES` is `maxTries` in the section `gateway`.
pub const ENVIRONMENT: &str = "DMWSI__";

/// The file that is read from the working folder when no other is named.
pub const FILE: &str = "dmwsi.toml";

/// Everything that can be set. An unknown name is refused.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The address under which external systems and devices reach the server: the issuer of tokens, and where devices are told to answer.
    pub public_url: String,
    /// The file that holds the keys. Made by `demo`, and by `serve` with `makeKeys`.
    pub key_file: PathBuf,
    /// Whether `serve` makes the key file when there is none.
    pub make_keys: bool,
    /// How long the server may take to finish what runs when it is told to stop, in seconds.
    pub stop_seconds: u64,
    /// Where it listens.
    pub listen: Listen,
    /// What it logs.
    pub log: Log,
    /// Where it stores.
    pub store: dmwsi_store::Settings,
    /// Containers and their content.
    pub content: dmwsi_store::content::Settings,
    /// What devices fetch.
    pub downloads: dmwsi_worker::download::Settings,
    /// The side of external systems.
    pub api: dmwsi_api::Settings,
    /// The side of devices.
    pub gateway: dmwsi_worker::gateway::Settings,
    /// How devices are woken.
    pub push: dmwsi_worker::push::Settings,
    /// The log of events.
    pub events: dmwsi_worker::retention::Settings,
    /// Where the server connects to on the word of external systems.
    pub egress: dmwsi_domain::egress::Egress,
    /// How events are delivered to subscribers.
    pub webhooks: dmwsi_worker::deliver::Settings,
    /// The tasks.
    pub tasks: dmwsi_worker::queue::Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: "http://127.0.0.1:8080".to_owned(),
            key_file: PathBuf::from("dmwsi-keys.toml"),
            make_keys: false,
            stop_seconds: 30,
            listen: Listen::default(),
            log: Log::default(),
            store: dmwsi_store::Settings::default(),
            content: dmwsi_store::content::Settings::default(),
            downloads: dmwsi_worker::download::Settings::default(),
            api: dmwsi_api::Settings::default(),
            gateway: dmwsi_worker::gateway::Settings::default(),
            push: dmwsi_worker::push::Settings::default(),
            events: dmwsi_worker::retention::Settings::default(),
            egress: dmwsi_domain::egress::Egress::default(),
            webhooks: dmwsi_worker::deliver::Settings::default(),
            tasks: dmwsi_worker::queue::Settings::default(),
        }
    }
}

/// Where the server listens. External systems and devices share a listener unless `devices` is set.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Listen {
    /// For external systems, and for devices unless they have an address of their own.
    pub address: SocketAddr,
    /// For devices only, with connections and threads of their own.
    pub devices: Option<SocketAddr>,
    /// For metrics and health only. When absent they are served beside the API.
    pub metrics: Option<SocketAddr>,
    /// The certificate chain in PEM. Without it the server speaks plain HTTP, which it does only on loopback or behind `trustedProxy`.
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate in PEM.
    pub private_key: Option<PathBuf>,
    /// The certificates, in PEM, of the authorities that issue those of devices. Where devices call, TLS then asks its clients for a certificate: it
    /// stands for the credentials of devices whose account says `TRANSPORT`, and browsers may ask their users about it, so give devices an
    /// address of their own (`devices`). A proxy that ends TLS does not pass certificates on.
    pub client_authorities: Option<PathBuf>,
    /// The certificates that these authorities have revoked, in PEM: lists (CRLs) of each of them, and of any between them and a device. A device with
    /// a revoked certificate gets no connection, nor does one for whose authority there is no list, or one that is out of date. Read at the
    /// start only: start the server anew with a newer file.
    pub client_revocations: Option<PathBuf>,
    /// The address of a proxy before the server that ends TLS; allows plain HTTP on an address other than loopback, to that proxy
    /// and to no other machine.
    pub trusted_proxy: Option<std::net::IpAddr>,
    /// Threads that serve requests of external systems.
    pub threads: usize,
    /// Threads that serve devices when they have an address of their own.
    pub device_threads: usize,
    /// The most connections at a time, of each listener and thread.
    pub max_connections: usize,
}

impl Default for Listen {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            devices: None,
            metrics: None,
            certificate: None,
            private_key: None,
            client_authorities: None,
            client_revocations: None,
            trusted_proxy: None,
            threads: cores,
            device_threads: cores,
            max_connections: 10_000,
        }
    }
}

/// What the server logs, to standard error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Log {
    /// Which events, by the syntax of `tracing`: `info`, `dmwsi=debug,info`.
    pub filter: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A name is unknown, or a value is of the wrong kind.
    #[error("{0}")]
    Malformed(#[from] Box<figment::Error>),
    /// The named file is not there.
    #[error("there is no settings file {}", .0.display())]
    NoFile(PathBuf),
    /// Plain HTTP would leave the machine.
    #[error(
        "plain HTTP on {0} is refused: set listen.certificate and listen.privateKey, listen on loopback, or name the proxy that ends TLS in listen.trustedProxy"
    )]
    PlainHttp(SocketAddr),
    /// Only one of certificate and key is set.
    #[error("listen.certificate and listen.privateKey are set together or not at all")]
    HalfTls,
    /// Clients could be asked for no certificate.
    #[error("listen.clientAuthorities needs TLS: set listen.certificate and listen.privateKey")]
    NoTls,
    /// Nobody's certificate could be revoked.
    #[error("listen.clientRevocations needs listen.clientAuthorities")]
    NoAuthorities,
}

impl Config {
    /// Reads the settings: the named file (or `dmwsi.toml`, where there is one), then the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(named) = file.filter(|named| !named.is_file()) {
            return Err(ConfigError::NoFile(named.to_owned()));
        }
        let file = file.unwrap_or(Path::new(FILE));
        let defaults = Figment::from(Serialized::defaults(Self::default()));
        let figment = if file.is_file() { defaults.merge(Toml::file_exact(file)) } else { defaults };
        figment.merge(environment()).extract().map_err(|error| ConfigError::Malformed(Box::new(error)))
    }

    /// The settings of a file's text and of nothing else; for tests.
    pub fn from_text(text: &str) -> Result<Self, ConfigError> {
        let figment = Figment::from(Serialized::defaults(Self::default())).merge(Toml::string(text));
        figment.extract().map_err(|error| ConfigError::Malformed(Box::new(error)))
    }

    /// The settings as they are, as the text of a settings file.
    pub fn shown(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Whether the listeners are safe to open.
    pub fn check(&self) -> Result<(), ConfigError> {
        let listen = &self.listen;
        if listen.certificate.is_some() != listen.private_key.is_some() {
            return Err(ConfigError::HalfTls);
        }
        if listen.client_authorities.is_some() && listen.certificate.is_none() {
            return Err(ConfigError::NoTls);
        }
        if listen.client_revocations.is_some() && listen.client_authorities.is_none() {
            return Err(ConfigError::NoAuthorities);
        }
        let plain = listen.certificate.is_none() && listen.trusted_proxy.is_none();
        let addresses = [Some(listen.address), listen.devices, listen.metrics];
        match addresses.into_iter().flatten().find(|address| plain && !address.ip().is_loopback()) {
            Some(address) => Err(ConfigError::PlainHttp(address)),
            None => Ok(()),
        }
    }
}

/// The environment, with names that are written as is usual there: case and single underscores do not count.
fn environment() -> impl figment::Provider {
    let known = serde_json::to_value(Config::default()).unwrap_or_default();
    Env::prefixed(ENVIRONMENT).map(move |name| spelled(&known, name.as_str()).into()).lowercase(false)
}

/// `GATEWAY__MAX_TRIES` as `gateway.maxTries`, by the names that are known; an unknown name stays and is refused later.
fn spelled(known: &serde_json::Value, name: &str) -> String {
    let plain = |text: &str| text.replace('_', "").to_lowercase();
    let mut at = Some(known);
    let mut path = Vec::new();
    for part in name.split("__") {
        let found =
            at.and_then(|value| value.as_object()).and_then(|names| names.iter().find(|(key, _)| plain(key) == plain(part)));
        path.push(found.map_or_else(|| part.to_lowercase(), |(key, _)| key.clone()));
        at = found.map(|(_, value)| value);
    }
    path.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_and_a_known_one_is_taken() {
        assert!(Config::from_text("[gateway]\nmaxTrise = 3").is_err());
        assert!(Config::from_text("colour = 'blue'").is_err());
        assert_eq!(Config::from_text("publicUrl = 'https://dm.example'").unwrap().public_url, "https://dm.example");
        assert_eq!(Config::from_text("[gateway]\nmaxTries = 5").unwrap().gateway.max_tries, 5);
    }

    #[test]
    fn a_variable_is_known_by_its_letters() {
        let known = serde_json::to_value(Config::default()).unwrap();
        assert_eq!(spelled(&known, "GATEWAY__MAX_TRIES"), "gateway.maxTries");
        assert_eq!(spelled(&known, "PUBLIC_URL"), "publicUrl");
        assert_eq!(spelled(&known, "publicurl"), "publicUrl");
        assert_eq!(spelled(&known, "LISTEN__TRUSTED_PROXY"), "listen.trustedProxy");
        assert_eq!(spelled(&known, "GATEWAY__COLOUR"), "gateway.colour");
    }

    #[test]
    fn plain_http_stays_on_the_machine() {
        let open = Config::from_text("[listen]\naddress = '0.0.0.0:8080'").unwrap();
        assert!(matches!(open.check(), Err(ConfigError::PlainHttp(_))));
        let proxied = Config::from_text("[listen]\naddress = '0.0.0.0:8080'\ntrustedProxy = '10.0.0.1'").unwrap();
        assert!(proxied.check().is_ok());
        assert!(matches!(Config::from_text("[listen]\ncertificate = 'a.pem'").unwrap().check(), Err(ConfigError::HalfTls)));
        let alone = Config::from_text("[listen]\nclientAuthorities = 'a.pem'").unwrap();
        assert!(matches!(alone.check(), Err(ConfigError::NoTls)));
        let alone = Config::from_text("[listen]\nclientRevocations = 'r.pem'").unwrap();
        assert!(matches!(alone.check(), Err(ConfigError::NoAuthorities)));
        assert!(Config::default().check().is_ok());
    }
}
