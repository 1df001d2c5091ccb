//! North: REST resources, OAuth2, OpenAPI and Swagger UI for external systems.
//!
//! `routes` is the contents page. A handler parses (its argument types), runs one transaction, and shows a view; [`allowed`] says who
//! may call it, [`problem`] how it fails, `gate` what every request passes.
pub mod allowed;
mod app;
pub mod body;
mod callers;
mod catalogue;
mod client_credentials;
mod client_secret;
mod container_view;
mod containers;
pub mod correlator;
pub mod cursor;
mod deliverables;
mod deliveries;
pub mod device_id;
mod device_search;
mod device_view;
mod devices;
mod digest_header;
mod discovery;
mod docs;
pub mod etag;
mod event_stream;
mod events;
mod executions;
mod failed_logins;
mod gate;
pub mod idempotency;
mod imports;
mod job_view;
mod jobs;
mod keys;
mod new_job;
mod new_subscription;
mod offers;
mod openapi;
pub mod page;
pub mod prefer;
pub mod problem;
mod public;
mod public_url;
pub mod query;
mod receive;
mod results;
mod routes;
pub mod seal;
mod settings;
mod sink;
mod spool;
mod subscription_acts;
mod subscription_patch;
mod subscription_view;
mod subscriptions;
pub mod token;
mod token_endpoint;
mod upload_file;
mod upload_headers;
mod upload_part;
mod uploads;
mod waiting;
mod wakes;

#[cfg(test)]
mod tests;

pub use app::{App, Parts, configure};
pub use callers::Caller;
pub use client_secret::ClientSecret;
pub use keys::{KeyFile, Keys, KeysError, SigningKeyFile};
pub use openapi::{openapi, to_yaml};
pub use problem::{Code, Problem};
pub use public_url::{PublicUrl, PublicUrlError};
pub use settings::{Settings, TokenLifetime, TokenLifetimeError};
