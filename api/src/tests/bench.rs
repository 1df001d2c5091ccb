//! An application on a fresh database, with clients to call it.
use std::sync::Arc;

use actix_web::body::to_bytes;
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::test::{TestRequest, init_service, try_call_service};
use actix_web::{HttpRequest, HttpResponse, get, post};
use dmwsi_domain::client::Client;
use dmwsi_domain::egress::Egress;
use dmwsi_domain::id::{ClientId, OrganisationId};
use dmwsi_domain::organisation::Organisation;
use dmwsi_domain::scope::Grants;
use dmwsi_domain::{Clock, Error, Timestamp};
use dmwsi_store::content::{Folder, Settings as ContentSettings};
use dmwsi_store::ingest::Ingest;
use dmwsi_store::{DatabaseUrl, Settings as StoreSettings, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::allowed::{Allowed, JobsRead, JobsWrite};
use crate::app::{App, Parts, mount};
use crate::body::Body;
use crate::idempotency::{Answer, Idempotency};
use crate::keys::{KeyFile, Keys};
use crate::problem::Problem;
use crate::public_url::PublicUrl;
use crate::routes::routes;
use crate::settings::{Settings, TokenLifetime};
use crate::{ClientSecret, etag};

pub(super) const ISSUER: &str = "https://dm.example.com";

/// What a test sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// What it gets.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Ask {
    pub(super) fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), ..Self::default() }
    }

    pub(super) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: &str, media_type: &str, body: &str) -> Self {
        Self { body: body.into(), ..Self::new(Method::POST, path) }.with("content-type", media_type)
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The code of the problem, after a look at what every problem must have.
    pub(super) fn problem(&self) -> String {
        let body = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{body}");
        assert_eq!(body["status"], self.status.as_u16(), "{body}");
        assert_eq!(body["correlator"], self.header("x-correlator"), "{body}");
        assert!(body["type"].as_str().is_some_and(|kind| kind.starts_with("https://dm.example.com/problems/")), "{body}");
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub(super) struct Bench {
    pub(super) app: App,
    pub(super) clock: Clock,
    pub(super) client: ClientId,
    pub(super) secret: String,
    _folder: TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let store = Store::open(&StoreSettings::of(DatabaseUrl::Sqlite(folder.path().join("test.db")))).expect("a database");
        store.migrate().await.expect("a schema");
        let clock = Clock::manual(Timestamp::from_micros(1_795_255_200_000_000));
        let keys = Keys::open(&KeyFile::mint("k1").expect("keys")).expect("keys");
        let settings = Settings { max_body_bytes: 1000, max_failed_logins: 3, ..Settings::default() };
        let sealing = dmwsi_store::Keys::new([(1, [7; 32])]).expect("a key");
        let content = Folder::open(&folder.path().join("content")).expect("a folder");
        let ingest = Ingest::new(store.clone(), Arc::new(content), None, ContentSettings::default(), clock.clone());
        let app = App::new(Parts {
            store,
            settings,
            keys,
            sealing,
            public_url: PublicUrl::parse(ISSUER).expect("an address"),
            ingest,
            egress: Egress::default(),
            handshake: dmwsi_domain::subscription::Handshake::Off,
            closing: tokio::sync::watch::Sender::new(false).subscribe(),
            clock: clock.clone(),
            book: dmwsi_domain::profile::Book::default(),
            bootstrap: Box::new(|_, _, _| Err(dmwsi_domain::Error::internal("no device is told anything here"))),
        });
        let secret = ClientSecret::mint().expect("a secret");
        let organisation =
            Organisation { id: OrganisationId::new(clock.new_id()), name: "acme".into(), created_at: clock.now(), revision: 1 };
        let client = Client {
            id: ClientId::new(clock.new_id()),
            organisation: organisation.id,
            name: "portal".into(),
            secret_hash: secret.hash(),
            scopes: "devices:read jobs:read jobs:write".parse().expect("scopes"),
            created_at: clock.now(),
            revoked_at: None,
            revision: 1,
        };
        let id = client.id;
        let added = app.store.write(move |tx| {
            tx.add_organisation(&organisation)?;
            tx.add_client(&client)
        });
        added.await.expect("a client");
        Self { app, clock, client: id, secret: secret.reveal().to_owned(), _folder: folder }
    }

    pub(super) async fn call(&self, ask: Ask) -> Got {
        let service = init_service(actix_web::App::new().configure(mount(self.app.clone(), test_routes))).await;
        let mut request = TestRequest::with_uri(&ask.path).method(ask.method).set_payload(ask.body);
        for (name, value) in ask.headers {
            request = request.append_header((name, value));
        }
        // A panic comes out as an error, which the server turns into its response.
        let response = match try_call_service(&service, request.to_request()).await {
            Ok(response) => response.into(),
            Err(error) => error.error_response(),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap_or_default().to_vec();
        Got { status, headers, body }
    }

    /// A token with those scopes, made past the token endpoint.
    pub(super) async fn token(&self, scopes: &str) -> String {
        let id = self.client;
        let client = self.app.store.read(move |tx| tx.client(id)).await.expect("the client");
        let scopes: Grants = scopes.parse().expect("scopes");
        let lifetime = TokenLifetime::default();
        self.app.keys.ring.mint(ISSUER, id, client.organisation, &scopes, lifetime, &self.clock).expect("a token")
    }

    pub(super) async fn revoke(&self) {
        let (id, now) = (self.client, self.clock.now());
        let revoked = self.app.store.write(move |tx| {
            let mut client = tx.client(id)?;
            client.revoke(now);
            tx.update_client(&mut client)
        });
        revoked.await.expect("revoked");
    }
}

fn test_routes(config: &mut ServiceConfig<'_>) {
    routes(config);
    config.service(read_thing).service(create_thing).service(forgot).service(panics).service(fails).service(change_thing);
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: String,
}

#[utoipa::path(responses((status = 200, description = "x")))]
#[get("/v1/things/{id}")]
async fn read_thing(allowed: Allowed<JobsRead>, id: actix_web::web::Path<u32>) -> String {
    format!("{} reads {id}", allowed.caller.name)
}

#[utoipa::path(responses((status = 201, description = "x")))]
#[post("/v1/things")]
async fn create_thing(allowed: Allowed<JobsWrite>, body: Body<Thing>, request: HttpRequest) -> Result<Answer, Problem> {
    let idempotency = Idempotency::of(&allowed.app, &allowed.caller, &request, &body.bytes)?;
    let organisation = Organisation {
        id: OrganisationId::new(allowed.app.clock.new_id()),
        name: body.value.name,
        created_at: allowed.app.clock.now(),
        revision: 1,
    };
    let answer = allowed.app.store.write(move |tx| {
        idempotency.once(tx, |tx| {
            tx.add_organisation(&organisation)?;
            let thing = Thing { name: organisation.name.clone() };
            Ok(Answer::json(StatusCode::CREATED, &thing)?.located(&format!("/v1/things/{}", organisation.id)))
        })
    });
    Ok(answer.await?)
}

#[utoipa::path(responses((status = 200, description = "x")))]
#[post("/v1/things/{id}")]
async fn change_thing(_allowed: Allowed<JobsWrite>, if_match: etag::IfMatch) -> Result<HttpResponse, Problem> {
    if_match.check("thing", 7)?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(responses((status = 200, description = "x")))]
#[get("/v1/forgot")]
async fn forgot() -> &'static str {
    "This handler asks for no permission."
}

#[utoipa::path(responses((status = 200, description = "x")))]
#[get("/v1/panics")]
#[expect(clippy::panic, reason = "on purpose")]
async fn panics() -> &'static str {
    panic!("swordfish")
}

#[utoipa::path(responses((status = 200, description = "x")))]
#[get("/v1/fails")]
async fn fails() -> Result<HttpResponse, Problem> {
    Err(Error::internal("swordfish").into())
}
