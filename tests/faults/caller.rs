//! A client of the API that does not give up: it asks until it is answered, as a good client of a server that may be killed does.
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::cluster::Cluster;

/// How long a request may go without an answer that says yes or no, however often it is sent.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// The pause before it is sent again.
const PAUSE: Duration = Duration::from_millis(40);

pub(crate) struct Caller {
    http: reqwest::Client,
    base: String,
    client: String,
    secret: String,
    token: Mutex<String>,
}

impl Caller {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        // What nobody answers any more must not be waited for long.
        let http = reqwest::Client::builder().timeout(Duration::from_secs(8)).build().unwrap();
        let (client, secret) = (cluster.client.id.to_string(), cluster.secret.reveal().to_owned());
        Self { http, base: cluster.api.url(), client, secret, token: Mutex::default() }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, &[], None).await
    }

    /// Sends a request until somebody who is in his right mind answers it.
    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> (u16, Value) {
        let began = Instant::now();
        loop {
            let token = self.token.lock().unwrap().clone();
            let mut request = self.http.request(method.clone(), format!("{}{path}", self.base)).bearer_auth(token);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let last = match answer(request).await {
                Ok((401, _)) => {
                    self.log_in().await;
                    continue;
                }
                Ok((status, answer)) if status < 429 => return (status, answer),
                other => other,
            };
            assert!(began.elapsed() < ANSWERED_WITHIN, "no answer to {method} {path}: {last:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn log_in(&self) {
        let request = self.http.post(format!("{}/oauth2/token", self.base));
        let request = request.basic_auth(&self.client, Some(&self.secret)).form(&[("grant_type", "client_credentials")]);
        if let Ok((200, token)) = answer(request).await {
            *self.token.lock().unwrap() = token["access_token"].as_str().unwrap().to_owned();
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn answer(request: RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
