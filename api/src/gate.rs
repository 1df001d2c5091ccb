//! The gate every request and every answer passes: correlator, token, one span, one line in the log, problems, headers.
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::body::{self, BodySize, BoxBody, MessageBody as _};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use futures_util::FutureExt as _;
use tracing::{Instrument as _, Span, field};

use crate::app::App;
use crate::callers::Caller;
use crate::correlator::{Correlator, X_CORRELATOR};
use crate::problem::{Code, Problem};
use crate::public::{Access, access};

/// Leads one request through.
pub(crate) async fn gate(app: App, mut request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let (correlator, refused) = match Correlator::of(request.headers(), &app.clock) {
        Ok(correlator) => (correlator, None),
        Err(problem) => (Correlator::mint(&app.clock), Some(problem)),
    };
    let bodiless = request.method() == Method::HEAD;
    if bodiless {
        // Whoever answers GET answers HEAD; the server leaves the body away.
        request.head_mut().method = Method::GET;
    }
    let operation = operation(&request);
    let span = tracing::info_span!("request", operation, client = field::Empty, correlator = correlator.as_str());
    request.extensions_mut().insert(correlator.clone());
    let told = Telling {
        app: app.clone(),
        correlator,
        path: request.path().to_owned(),
        conditional: request.headers().contains_key(header::IF_MATCH),
    };
    async move {
        let answered = match refused {
            Some(problem) => Ok(refuse(request, problem)),
            None => pass(&app, request, next).await,
        };
        let mut answered = told.dress(answered);
        if bodiless {
            answered = answered.map(without_stream);
        }
        let status = match &answered {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        log(&operation, status, started);
        answered
    }
    .instrument(span)
    .await
}

/// Leaves a body of unknown length away: the server would not send it, but wait for its end, which may be as far as that of the token.
fn without_stream(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    match response.response().body().size() {
        BodySize::Stream => response.map_body(|_head, _stream| BoxBody::new(body::None::new())),
        BodySize::None | BodySize::Sized(_) => response,
    }
}

/// The method and the pattern of the route: few names, whatever callers invent, so that they can label a metric.
fn operation(request: &ServiceRequest) -> String {
    const KNOWN: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let method = request.method();
    let method = if KNOWN.contains(method) { method.as_str() } else { "(other)" };
    format!("{method} {}", request.match_pattern().as_deref().unwrap_or("(nothing)"))
}

async fn pass(app: &App, request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    match access(request.method(), request.path()) {
        Access::Public => {}
        Access::PublicBy(methods) => return Ok(refuse(request, method_not_allowed(&methods))),
        Access::Token => match Caller::authenticate(app, request.headers()).await {
            Ok(caller) => {
                Span::current().record("client", field::display(caller.client));
                request.extensions_mut().insert(caller);
            }
            Err(problem) => return Ok(refuse(request, problem)),
        },
    }
    // Without this the router would try the next route that fits, and read `search` as the id of a device.
    let methods = request.match_pattern().and_then(|pattern| app.document.methods_at(&pattern));
    if let Some(methods) = methods.filter(|methods| !methods.contains(request.method())) {
        return Ok(refuse(request, method_not_allowed(methods)));
    }
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(answered) => answered,
        Err(panic) => {
            let words = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
            let cause = words.unwrap_or_else(|| "a panic without words".to_owned());
            Err(Problem::from(dmwsi_domain::Error::internal(cause)).into())
        }
    }
}

fn refuse(request: ServiceRequest, problem: Problem) -> ServiceResponse<BoxBody> {
    request.error_response(problem)
}

/// What must be known of a request to tell how it failed.
struct Telling {
    app: App,
    correlator: Correlator,
    path: String,
    conditional: bool,
}

impl Telling {
    /// Makes problem details of every failure, whoever it comes from, and gives every answer its headers.
    fn dress(&self, answered: Result<ServiceResponse<BoxBody>, Error>) -> Result<ServiceResponse<BoxBody>, Error> {
        match answered {
            Ok(response) => {
                let failed = match response.response().error() {
                    Some(error) => Some(self.failure(error)),
                    None => self.bare_failure(response.response()),
                };
                let mut response = match failed {
                    Some(failure) => response.into_response(failure),
                    None => response,
                };
                self.finish(response.headers_mut());
                Ok(response)
            }
            // A panic, which took the request with it.
            Err(error) => {
                let mut response = self.failure(&error);
                self.finish(response.headers_mut());
                Err(InternalError::from_response("the request was given up", response).into())
            }
        }
    }

    fn failure(&self, error: &Error) -> HttpResponse {
        if let Some(problem) = error.as_error::<Problem>() {
            return self.tell(problem);
        }
        let code = Code::of_status(error.as_response_error().status_code());
        tracing::debug!(%error, "a failure that is not ours was answered with {}", code.as_str());
        self.tell(&Problem::new(code, code.explanation()))
    }

    /// A failure of somebody who says nothing about it, such as the file server of Swagger UI.
    fn bare_failure(&self, response: &HttpResponse) -> Option<HttpResponse> {
        let status = response.status();
        let bare = !response.headers().contains_key(header::CONTENT_TYPE);
        let code = Code::of_status(status);
        ((status.is_client_error() || status.is_server_error()) && bare)
            .then(|| self.tell(&Problem::new(code, code.explanation())))
    }

    fn tell(&self, problem: &Problem) -> HttpResponse {
        if problem.code().status().is_server_error() {
            // The cause is logged here, once, and never shown.
            let code = problem.code().as_str();
            tracing::error!(code, cause = ?problem.cause(), "request failed: {code}");
        }
        problem.response(&self.app.public_url, &self.path, &self.correlator, self.conditional)
    }

    fn finish(&self, headers: &mut HeaderMap) {
        headers.insert(X_CORRELATOR, self.correlator.header());
        headers.remove(header::SERVER);
        let mut default = |name: HeaderName, value: &'static str| {
            if !headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        };
        default(header::CACHE_CONTROL, "no-store");
        default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        default(header::REFERRER_POLICY, "no-referrer");
        default(
            header::CONTENT_SECURITY_POLICY,
            if self.path.starts_with("/docs") {
                "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
            } else {
                "default-src 'none'; frame-ancestors 'none'"
            },
        );
        if self.app.public_url.is_https() {
            default(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        }
    }
}

fn log(operation: &str, status: StatusCode, started: Instant) {
    let took = started.elapsed();
    let code = status.as_u16();
    metrics::histogram!("dmwsi_api_request_seconds", "operation" => operation.to_owned(), "status" => code.to_string())
        .record(took.as_secs_f64());
    let took_ms = took.as_millis();
    tracing::info!(status = code, took_ms, "{operation} answered {code} in {took_ms} ms");
}

/// The answer where no route is: 405 where the address exists for other methods, else 404.
pub(crate) async fn nothing_here(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let methods = app.document.methods_of(request.path());
    if methods.is_empty() { Err(Problem::not_found("thing")) } else { Err(method_not_allowed(&methods)) }
}

fn method_not_allowed(methods: &[Method]) -> Problem {
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    let allow = names.join(", ");
    let problem = Problem::new(Code::MethodNotAllowed, format!("Here one can use {allow}."));
    match HeaderValue::from_str(&allow) {
        Ok(value) => problem.with_header(header::ALLOW, value),
        Err(_impossible) => problem,
    }
}
