//! The contents page: every route, registered and documented in one call.
use utoipa_actix_web::service_config::ServiceConfig;

use crate::acknowledgements::acknowledge_job;
use crate::bootstraps::write_bootstrap;
use crate::consents::{give_consent, read_consent};
use crate::containers::{create_container, list_containers, read_container, withdraw_container};
use crate::deliverables::{list_deliverables, read_deliverable};
use crate::deliveries::{list_deliveries, redeliver_event};
use crate::device_profile::{change_profile, read_profile};
use crate::device_search::search_devices;
use crate::device_tracing::{end_tracing, read_tracing, set_tracing};
use crate::device_tree::read_tree;
use crate::devices::{change_device, create_device, delete_device, list_devices, read_device};
use crate::discovery::{read_authorization_server, read_catalog, read_jwks, read_problem_type, read_start};
use crate::docs::{read_asyncapi_json, read_asyncapi_yaml, read_openapi_json, read_openapi_yaml};
use crate::event_stream::{stream_events, stream_job_events};
use crate::events::list_events;
use crate::executions::{list_executions, read_execution};
use crate::imports::import_devices;
use crate::jobs::{cancel_job, create_job, list_jobs, read_job};
use crate::offers::{list_firmware_updates, list_software_packages, match_deliverables};
use crate::results::{list_results, read_results};
use crate::sessions::{list_session_messages, list_sessions, read_session};
use crate::subscription_acts::{recover_deliveries, rotate_secret, test_subscription};
use crate::subscriptions::{
    change_subscription, create_subscription, delete_subscription, list_subscriptions, read_subscription,
};
use crate::token_endpoint::create_token;
use crate::uploads::{append_upload, create_upload, delete_upload, read_upload, read_upload_limits};
use crate::wakes::{read_wake, wake_device};

/// Registers them all.
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config
        // OAuth2
        .service(create_token)
        .service(read_jwks)
        .service(read_authorization_server)
        // Devices
        .service(create_device)
        .service(list_devices)
        .service(search_devices)
        .service(import_devices)
        .service(read_device)
        .service(change_device)
        .service(delete_device)
        .service(list_firmware_updates)
        .service(list_software_packages)
        .service(write_bootstrap)
        .service(wake_device)
        .service(read_wake)
        .service(read_tree)
        .service(read_profile)
        .service(change_profile)
        .service(list_sessions)
        .service(read_session)
        .service(list_session_messages)
        .service(read_tracing)
        .service(set_tracing)
        .service(end_tracing)
        // Jobs
        .service(create_job)
        .service(list_jobs)
        .service(read_job)
        .service(cancel_job)
        .service(acknowledge_job)
        .service(list_executions)
        .service(read_execution)
        .service(read_results)
        .service(list_results)
        // Containers
        .service(create_container)
        .service(list_containers)
        .service(read_container)
        .service(withdraw_container)
        .service(read_upload_limits)
        .service(create_upload)
        .service(read_upload)
        .service(append_upload)
        .service(delete_upload)
        .service(list_deliverables)
        .service(match_deliverables)
        .service(read_deliverable)
        // Events
        .service(list_events)
        .service(stream_events)
        .service(stream_job_events)
        // Subscriptions
        .service(create_subscription)
        .service(list_subscriptions)
        .service(read_subscription)
        .service(change_subscription)
        .service(delete_subscription)
        .service(rotate_secret)
        .service(test_subscription)
        .service(recover_deliveries)
        .service(list_deliveries)
        .service(redeliver_event)
        .service(read_consent)
        .service(give_consent)
        // Discovery
        .service(read_start)
        .service(read_catalog)
        .service(read_openapi_json)
        .service(read_openapi_yaml)
        .service(read_asyncapi_json)
        .service(read_asyncapi_yaml)
        .service(read_problem_type);
}
