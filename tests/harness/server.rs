//! A whole server on a port of its own, with clients that call it.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use dmwsi::clients::{NewClient, add};
use dmwsi::config::{Config, Listen};
use dmwsi::keys::Keys;
use dmwsi::{Role, Running, start_behind};
use dmwsi_api::ClientSecret;
use dmwsi_domain::Clock;
use dmwsi_domain::client::Client;
use dmwsi_domain::device::{NewDevice, Owner};
use dmwsi_domain::egress::Egress;
use dmwsi_domain::id::{ClientId, DeviceId, OrganisationId};
use dmwsi_store::Store;
use dmwsi_worker::egress::Guard;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Database;

/// A server at work.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) clock: Clock,
    pub(crate) keys: Keys,
    /// The issuer of its tokens.
    pub(crate) issuer: String,
    ids: dmwsi_api::device_id::DeviceIds,
    http: reqwest::Client,
    base: String,
}

/// A client of it, with a token.
#[derive(Clone)]
pub(crate) struct Portal {
    pub(crate) client: ClientId,
    pub(crate) organisation: OrganisationId,
    http: reqwest::Client,
    base: String,
    token: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    async fn of_response(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        // A stream has no end to wait for.
        let streams = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        Self { status, headers, text: if streams { String::new() } else { response.text().await.unwrap() } }
    }

    /// The body, after it was seen to be problem details of that status and code with everything they must have.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!((problem["status"].as_u64(), problem["code"].as_str()), (Some(status.into()), Some(code)), "{problem}");
        let slug = code.to_lowercase().replace('_', "-");
        assert!(problem["type"].as_str().unwrap().ends_with(&format!("/problems/{slug}")), "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        assert!(problem["errors"].is_array(), "{problem}");
        assert_eq!(problem["correlator"], self.header("x-correlator"));
        assert_ne!(self.header("x-correlator"), "");
        problem
    }

    /// The places a problem names.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let problem = self.json();
        problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text))
    }

    /// The body, after the status was what it should be.
    #[track_caller]
    pub(crate) fn of(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }
}

/// A client that takes any certificate: who the server is shows elsewhere.
fn trusting() -> reqwest::Client {
    reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap()
}

impl Server {
    /// Starts it on that database.
    pub(crate) async fn on(database: &Database) -> Self {
        Self::with(database, Keys::mint().unwrap(), Clock::System, |_config| {}).await
    }

    /// Starts it on that database with these keys and this clock, and settings changed by hand.
    pub(crate) async fn with(database: &Database, keys: Keys, clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        Self::behind(database, keys, clock, change, Guard::new).await
    }

    /// The same with a guard made otherwise of what the settings allow.
    pub(crate) async fn behind(
        database: &Database,
        keys: Keys,
        clock: Clock,
        change: impl FnOnce(&mut Config),
        guard: impl FnOnce(Egress) -> Guard,
    ) -> Self {
        database.store().await;
        let mut config = Config {
            public_url: "http://127.0.0.1:0".to_owned(),
            store: database.settings(),
            // What tests run stands on this machine.
            egress: Egress::allowing(["127.0.0.0/8"]).unwrap(),
            content: dmwsi_store::content::Settings { folder: Some(database.content()), ..Default::default() },
            listen: Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), threads: 1, ..Listen::default() },
            ..Config::default()
        };
        change(&mut config);
        let scheme = if config.listen.certificate.is_some() { "https" } else { "http" };
        let public_url = config.public_url.clone();
        let ids = dmwsi_api::Keys::open(&keys.api).unwrap().device_ids;
        let guard = guard(config.egress.clone());
        let running = start_behind(config, keys.clone(), Role::All, clock.clone(), guard).await.unwrap();
        let base = format!("{scheme}://{}", running.address());
        let issuer = public_url.replace(":0", &format!(":{}", running.address().port()));
        Self { running, clock, keys, issuer, ids, http: trusting(), base }
    }

    /// Anything at all over HTTP: no header is added but those of HTTP itself.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Got {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Got::of_response(request.send().await.unwrap()).await
    }

    /// A client that has no token yet, and its secret.
    pub(crate) async fn client(&self, organisation: &str, scopes: &str) -> (Client, String) {
        let (client, secret) = self.add_client(organisation, scopes).await;
        (client, secret.reveal().to_owned())
    }

    async fn add_client(&self, organisation: &str, scopes: &str) -> (Client, ClientSecret) {
        let new = NewClient { organisation: organisation.into(), name: "portal".into(), scopes: scopes.parse().unwrap() };
        add(self.store(), &self.clock, new).await.unwrap()
    }

    /// Asks for a token by Basic and with that form.
    pub(crate) async fn ask_token(&self, basic: Option<(&str, &str)>, form: &[(&str, &str)]) -> Got {
        let mut request = self.http.post(format!("{}/oauth2/token", self.base)).form(form);
        if let Some((id, secret)) = basic {
            request = request.basic_auth(id, Some(secret));
        }
        Got::of_response(request.send().await.unwrap()).await
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    pub(crate) fn store(&self) -> &Store {
        self.running.store()
    }

    /// A client of an organisation, with a token of those scopes.
    pub(crate) async fn portal(&self, organisation: &str, scopes: &str) -> Portal {
        let (client, secret) = self.add_client(organisation, scopes).await;
        Portal::log_in(&self.base, &client, &secret).await
    }

    /// Devices of the portal's organisation, and how the portal calls them.
    pub(crate) async fn devices(&self, portal: &Portal, count: usize) -> Vec<(DeviceId, String)> {
        static NUMBER: AtomicU64 = AtomicU64::new(490_154_203_000_000);
        let owner = Owner { organisation: portal.organisation, client: portal.client };
        let sealing = self.keys.sealing_keys().unwrap();
        let make = |_| {
            let name = format!("IMEI:{}", NUMBER.fetch_add(1, Ordering::SeqCst));
            let client = json!({"auth": "BASIC", "name": "device", "secret": "secret"});
            let new = json!({"dmIdentity": name, "account": {"serverId": "dm.example.com", "client": client}});
            let new: NewDevice = serde_json::from_value(new).unwrap();
            let id = DeviceId::new(self.clock.new_id());
            new.register(id, owner, self.clock.now(), |account| sealing.seal_account(id, account)).unwrap()
        };
        let devices: Vec<_> = (0..count).map(make).collect();
        let named = devices.iter().map(|device| (device.id, self.ids.public(portal.organisation, device.id).unwrap())).collect();
        let written = self.store().write(move |tx| devices.iter().try_for_each(|device| tx.create_device(device)));
        written.await.unwrap();
        named
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await.unwrap();
    }
}

impl Portal {
    /// The client at the server of that address, with a new token.
    pub(crate) async fn log_in(base: &str, client: &Client, secret: &ClientSecret) -> Self {
        let http = trusting();
        let token = http.post(format!("{base}/oauth2/token"));
        let token = token.basic_auth(client.id, Some(secret.reveal())).form(&[("grant_type", "client_credentials")]);
        let token: Value = token.send().await.unwrap().json().await.unwrap();
        Self {
            client: client.id,
            organisation: client.organisation,
            http,
            base: base.to_owned(),
            token: token["access_token"].as_str().unwrap().to_owned(),
        }
    }

    /// The same client with its token at a server with the same keys.
    pub(crate) fn at(&self, server: &Server) -> Self {
        Self { base: server.base.clone(), ..self.clone() }
    }

    /// Sends any body, and hands over the answer as it comes.
    pub(crate) async fn send(&self, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> reqwest::Response {
        let mut request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body).send().await.unwrap()
    }

    /// Sends any body, and reads the answer.
    pub(crate) async fn deliver(&self, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Got {
        Got::of_response(self.send(path, headers, body).await).await
    }

    /// Any method with any body.
    pub(crate) async fn bring(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Got {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Got::of_response(request.body(body).send().await.unwrap()).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Got {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Got::of_response(request.send().await.unwrap()).await
    }

    /// The value of its header Authorization.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.call(Method::GET, path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Got {
        self.call(Method::POST, path, &[], Some(body)).await
    }
}
