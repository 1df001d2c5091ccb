//! The self-care page, as a browser without scripts uses it; with one, it is proven by `.ci/selfcare`.
use std::net::{SocketAddr, TcpListener};

use dmwsi::portal::Portal as Client;
use dmwsi::selfcare::{SCOPES, Selfcare};
use dmwsi_simulator::{Behaviour, sample_package};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::archive::{Archive, TAR};
use crate::harness::handset::Handset;
use crate::harness::server::{Portal, Server};

const OPERATOR: &str = "containers:read containers:write devices:read devices:write jobs:read";

/// The page of a server, and a browser in front of it.
struct Visit {
    selfcare: Selfcare,
    client: Client,
    http: reqwest::Client,
    base: String,
}

/// What the browser sees.
struct Seen {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Visit {
    /// Opens one for the organisation `acme`.
    async fn begin(server: &Server) -> Self {
        let (client, secret) = server.client("acme", SCOPES).await;
        let portal = Client::log_in(server.url(), &client.id.to_string(), &secret).await.unwrap();
        let selfcare =
            Selfcare::start(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap(), portal.clone()).unwrap();
        let base = format!("http://{}", selfcare.address());
        Self { selfcare, client: portal, http: reqwest::Client::builder().redirect(Policy::none()).build().unwrap(), base }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Seen {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == Method::POST {
            request = request.form(form);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Seen { status, headers, text: answer.text().await.unwrap() }
    }

    async fn get(&self, path: &str) -> Seen {
        self.ask(Method::GET, path, &[], &[]).await
    }

    /// How many jobs its client has.
    async fn jobs(&self) -> usize {
        self.client.call(Method::GET, "/v1/jobs", None).await.unwrap()["items"].as_array().unwrap().len()
    }

    /// The consent form: its seal, its word and the cookie that came with it.
    async fn form(&self, path: &str) -> (String, String, String) {
        let form = self.get(path).await;
        assert_eq!(form.status, 200, "{}", form.text);
        let field = |name: &str| {
            let (_, rest) = form.text.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        let cookie = form.header("set-cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        (field("seal"), field("once"), cookie.split_once(';').unwrap().0.to_owned())
    }
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Firmware for the simulated devices, one of it out of reach; its names try to be more than names.
async fn firmware(portal: &Portal) -> String {
    let mut archive = Archive::new("urn:selfcare", 1).with("FIRMWARE", "near", &sample_package("2.0.0", 40_000)).with(
        "FIRMWARE",
        "far",
        &sample_package("2.1.0", 40_000),
    );
    for (one, (version, of)) in
        archive.deliverables().iter_mut().zip([("2.0.0", json!({"max": "1.9.9"})), ("2.1.0", json!({"min": "2.0.0"}))])
    {
        one["targets"] = json!([{"manufacturer": "Acme", "models": ["*"], "fwVersion": of}]);
        one["version"] = json!(version);
        one["name"] = json!("<script>alert(1)</script>");
        one["releaseNotesUrl"] = json!("https://acme.example/notes?a=1&b=\"2");
    }
    let container = portal.deliver("/v1/containers", &[TAR], archive.tar()).await.of(201);
    container["verdicts"][0]["deliverableId"].as_str().unwrap().to_owned()
}

both! {
    /// UC-7, UP3, UP4: from the list of devices to the end of an update, by links and forms alone.
    async fn a_user_picks_an_update_agrees_and_sees_it_end(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", OPERATOR).await;
        let deliverable = firmware(&portal).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        handset.live().await;
        let visit = Visit::begin(&server).await;
        let list = visit.get("/").await;
        assert_eq!(list.status, 200);
        let device = format!("/devices/{}", handset.id);
        assert!(list.text.contains(&format!("href=\"{device}\"")), "{}", list.text);
        let shown = visit.get(&device).await.text;
        let install = format!("{device}/install/{deliverable}");
        assert!(shown.contains(&format!("href=\"{install}\"")) && shown.contains("1.0.0"), "{shown}");
        assert!(shown.contains("FIRMWARE_TOO_OLD") && shown.contains("install 2.0.0, then 2.1.0"), "{shown}");
        assert!(!shown.contains("<script>alert") && shown.contains("&#60;script&#62;alert(1)"), "{shown}");

        let (seal, once, cookie) = visit.form(&install).await;
        let send = async |agreed: &str| {
            let fields = [("seal", seal.as_str()), ("once", once.as_str()), ("agreed", agreed)];
            visit.ask(Method::POST, &install, &[("cookie", &cookie)], &fields).await
        };
        assert_eq!(send("").await.status, 422, "nothing without a yes");
        let begun = send("yes").await;
        assert_eq!(begun.status, 303, "{}", begun.text);
        let update = begun.header("location").to_owned();
        assert_eq!(send("yes").await.header("location"), update, "the same form is the same update");
        assert_eq!(visit.jobs().await, 1);

        let waiting = visit.get(&update).await.text;
        assert!(waiting.contains("data-live") && waiting.contains("http-equiv=\"refresh\"") && waiting.contains("is being called"), "{waiting}");
        handset.live().await;
        let done = visit.get(&update).await.text;
        assert!(done.contains("Done. The update is installed.") && !done.contains("data-live"), "{done}");
        assert!(done.contains("<dd>2.0.0</dd>"), "{done}");
        assert!(visit.get(&device).await.text.contains(&update), "it is found again");
        assert_eq!(visit.get(&install).await.status, 404, "what is installed is not offered again");
        visit.selfcare.stop().await.unwrap();
        server.stop().await;
    }

    /// UC-7: what a user types of a device that is not known.
    async fn a_user_asks_what_there_is_for_a_device_that_is_not_listed(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", OPERATOR).await;
        firmware(&portal).await;
        let visit = Visit::begin(&server).await;
        let fits = visit.get("/check?manufacturer=Acme&model=One&firmwareVersion=1.0.0&hardwareVersion=").await.text;
        assert!(fits.contains("Version 2.0.0") && fits.contains("FIRMWARE_TOO_OLD"), "{fits}");
        let other = visit.get("/check?manufacturer=Other&model=%3Cb%3E&firmwareVersion=1.0.0").await.text;
        assert!(other.contains("There is nothing to install.") && other.contains("MANUFACTURER_DIFFERS"), "{other}");
        assert!(!other.contains("<b>"));
        visit.selfcare.stop().await.unwrap();
        server.stop().await;
    }

    /// A page that changes something answers only its own forms, under its own name.
    async fn a_form_of_somebody_elses_starts_nothing(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", OPERATOR).await;
        let deliverable = firmware(&portal).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        handset.live().await;
        let visit = Visit::begin(&server).await;
        let install = format!("/devices/{}/install/{deliverable}", handset.id);
        let (seal, once, cookie) = visit.form(&install).await;
        let (foreign, _, _) = visit.form(&install).await;
        let fields = |seal: &str| [("seal", seal.to_owned()), ("once", once.clone()), ("agreed", "yes".to_owned())];
        let own = visit.base.clone();
        for (what, headers, seal) in [
            ("no cookie", vec![], seal.as_str()),
            ("another browser's seal", vec![("cookie", cookie.as_str())], foreign.as_str()),
            ("no seal", vec![("cookie", cookie.as_str())], ""),
            ("another origin", vec![("cookie", cookie.as_str()), ("origin", "https://evil.example")], &seal),
            ("an origin that is hidden", vec![("cookie", cookie.as_str()), ("origin", "null")], &seal),
            ("another site", vec![("cookie", cookie.as_str()), ("origin", own.as_str()), ("sec-fetch-site", "cross-site")], &seal),
            ("another port of this machine", vec![("cookie", cookie.as_str()), ("sec-fetch-site", "same-site")], &seal),
            ("another host's name", vec![("cookie", cookie.as_str()), ("host", "evil.example")], &seal),
        ] {
            let fields = fields(seal);
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let refused = visit.ask(Method::POST, &install, &headers, &fields).await;
            assert_eq!(refused.status, 403, "{what}: {}", refused.text);
        }
        assert_eq!(visit.ask(Method::GET, "/", &[("host", "evil.example")], &[]).await.status, 403, "rebinding");
        assert_eq!(visit.jobs().await, 0);
        for path in ["/", &install, "/nothing", "/live.js", "/style.css"] {
            let seen = visit.get(path).await;
            let policy = seen.header("content-security-policy");
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
            assert_eq!((seen.header("x-content-type-options"), seen.header("cache-control")), ("nosniff", "no-store"));
            assert!(!seen.text.contains(" style=") && !seen.text.contains("onclick"), "{path}");
        }
        visit.selfcare.stop().await.unwrap();
        server.stop().await;
    }

    /// Bad addresses and a server that is away are told in words; nothing of the request becomes part of another address.
    async fn trouble_is_told_in_words(database: Database) {
        let server = Server::on(&database).await;
        let visit = Visit::begin(&server).await;
        for path in ["/devices/..%2F..%2Foauth2%2Ftoken", "/devices/dev_0", "/devices/dev_8f14e45fceea167a5a36dedd4bea2543", "/nothing", "/devices/%00"] {
            let seen = visit.get(path).await;
            assert!([400, 404].contains(&seen.status.as_u16()), "{path}: {} {}", seen.status, seen.text);
        }
        assert!(visit.get("/devices/dev_8f14e45fceea167a5a36dedd4bea2543").await.text.contains("role=\"alert\""));
        server.stop().await;
        let away = visit.get("/").await;
        assert_eq!(away.status, 502);
        assert!(away.text.contains("The server cannot be reached just now."), "{}", away.text);
        visit.selfcare.stop().await.unwrap();
    }
}
