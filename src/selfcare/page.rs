//! What every page is made with: its look, and what is shown when something is wrong.
use actix_web::cookie::Cookie;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use askama::Template;
use serde_json::Value;

use crate::portal::PortalError;

/// A page that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// There is nothing at that address.
    #[error("There is no such page.")]
    Missing,
    /// The request comes from another page than this one.
    #[error("This request did not come from this page.")]
    Foreign,
    /// The form was not made here, or not for this browser.
    #[error("This form is no longer good. Please go back and try again.")]
    Stale,
    /// The user did not agree.
    #[error("Nothing was installed: please tick that you agree.")]
    NotAgreed,
    /// The server said no.
    #[error("{detail}")]
    Refused {
        /// With which status.
        status: StatusCode,
        /// Why, in a sentence.
        detail: String,
    },
    /// The server cannot be asked, or its answer cannot be understood.
    #[error("The server cannot be reached just now. Please try again in a moment.")]
    Away(#[source] PortalError),
    /// The answer lacks what it should have.
    #[error("The server's answer was not understood.")]
    Garbled(#[from] serde_json::Error),
    /// Something is wrong here.
    #[error("Something is wrong here. Please try again in a moment.")]
    Ours(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Trouble {
    pub(super) fn ours(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Ours(Box::new(error))
    }
}

impl From<PortalError> for Trouble {
    fn from(error: PortalError) -> Self {
        match error {
            PortalError::Refused { status, problem }
                if status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 429) =>
            {
                let problem: Value = serde_json::from_str(&problem).unwrap_or_default();
                let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("The server refused this.").to_owned();
                Self::Refused { status: StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY), detail }
            }
            away => Self::Away(away),
        }
    }
}

impl ResponseError for Trouble {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Missing => StatusCode::NOT_FOUND,
            Self::Foreign | Self::Stale => StatusCode::FORBIDDEN,
            Self::NotAgreed => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Refused { status, .. } => *status,
            Self::Away(_) | Self::Garbled(_) => StatusCode::BAD_GATEWAY,
            Self::Ours(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if self.status_code().is_server_error() {
            tracing::warn!(error = %self, cause = ?std::error::Error::source(self), "a page of the self-care cannot be shown");
        }
        let page = TroublePage { says: self.to_string() }.render().unwrap_or_else(|_error| self.to_string());
        HttpResponse::build(self.status_code()).content_type("text/html; charset=utf-8").body(page)
    }
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    says: String,
}

/// The answer that holds a page.
pub(super) fn page(template: &impl Template) -> Result<HttpResponse, Trouble> {
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(template.render().map_err(Trouble::ours)?))
}

/// The same, with a cookie.
pub(super) fn page_with(template: &impl Template, cookie: &Cookie<'static>) -> Result<HttpResponse, Trouble> {
    let mut answer = page(template)?;
    answer.add_cookie(cookie).map_err(Trouble::ours)?;
    Ok(answer)
}

/// The answer that leads to another page.
pub(super) fn see(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}

/// How it looks.
pub(super) async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("style.css"))
}

/// Its sign in a browser's tab.
pub(super) async fn icon() -> HttpResponse {
    HttpResponse::Ok().content_type("image/svg+xml").body(include_str!("icon.svg"))
}

/// What keeps a page that moves up to date; without it the page loads itself anew.
pub(super) async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(include_str!("live.js"))
}

/// Any other address.
pub(super) async fn missing() -> Result<HttpResponse, Trouble> {
    Err(Trouble::Missing)
}
