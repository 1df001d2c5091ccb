//! The gate every request and every answer passes: correlator, token, one span, one line in the log, problems, headers.
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
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
    if request.method() == Method::HEAD {
        // Whoever answers GET answers HEAD; the server leaves the body away.
        request.head_mut().method = Method::GET;
    }
    let operation = format!("{} {}", request.method(), request.match_pattern().unwrap_or_else(|| "(nothing)".to_owned()));
    let span = tracing::info_span!("request", operation, client = field::Empty, correlator = correlator.as_str());
    request.extensions_mut().insert(correlator.clone());
    async move {
        let answered = match refused {
            Some(problem) => refuse(request, problem),
            None => pass(&app, request, next).await?,
        };
        let mut response = told(&app, &correlator, answered);
        finish(&app, &correlator, &mut response);
        log(&operation, response.status(), started);
        Ok(response)
    }
    .instrument(span)
    .await
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
    let kept = request.request().clone();
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Ok(ServiceResponse::from_err(error, kept)),
        Err(panic) => {
            let cause = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
            let cause = cause.unwrap_or_else(|| "a panic without words".to_owned());
            Ok(ServiceResponse::from_err(Problem::from(dmwsi_domain::Error::internal(cause)), kept))
        }
    }
}

fn refuse(request: ServiceRequest, problem: Problem) -> ServiceResponse<BoxBody> {
    request.error_response(problem)
}

/// Makes problem details of every failure, whoever it comes from.
fn told(app: &App, correlator: &Correlator, answered: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let Some(error) = answered.response().error() else { return answered };
    let conditional = answered.request().headers().contains_key(header::IF_MATCH);
    let told = |problem: &Problem| {
        if problem.code().status().is_server_error() {
            // The cause is logged here, once, and never shown.
            let code = problem.code().as_str();
            tracing::error!(code, cause = ?problem.cause(), "request failed: {code}");
        }
        problem.response(&app.public_url, answered.request().path(), correlator, conditional)
    };
    let response = match error.as_error::<Problem>() {
        Some(problem) => told(problem),
        None => {
            let status = error.as_response_error().status_code();
            let code = Code::of_status(status);
            tracing::debug!(%error, "a failure that is not ours was answered with {}", code.as_str());
            told(&Problem::new(code, code.explanation()))
        }
    };
    answered.into_response(response)
}

fn finish(app: &App, correlator: &Correlator, response: &mut ServiceResponse<BoxBody>) {
    let docs = response.request().path().starts_with("/docs");
    let headers = response.headers_mut();
    headers.insert(X_CORRELATOR, correlator.header());
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
        if docs {
            "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
        } else {
            "default-src 'none'; frame-ancestors 'none'"
        },
    );
    if app.public_url.is_https() {
        default(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
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
