//! The OpenAPI document: what the routes say of themselves, completed by what holds for all of them.
use std::collections::BTreeSet;

use actix_web::http::Method;
use dmwsi_domain::scope::Scope;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayItems, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{ClientCredentials, Flow, OAuth2, Scopes, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ServerBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_actix_web::AppExt as _;

use crate::correlator;
use crate::event_catalogue;
use crate::job_examples;
use crate::problem::{Code, FieldError, ProblemBody};
use crate::public::{Access, access};
use crate::routes::routes;

/// What every operation may answer, where it does not say so itself: the name of the reusable response and its code.
const ANSWERS: &[(&str, Code, &str)] = &[
    ("InvalidArgument", Code::InvalidArgument, "A header, a parameter or the body is not of its form."),
    ("Unauthenticated", Code::Unauthenticated, "There is no valid access token."),
    ("PermissionDenied", Code::PermissionDenied, "The token lacks the scope of this operation."),
    ("NotFound", Code::NotFound, "There is no such thing in your organisation."),
    ("IdempotencyKeyInUse", Code::IdempotencyKeyInUse, "It exists already, or the first request with this key still runs."),
    ("FailedPrecondition", Code::FailedPrecondition, "The thing was changed since it was read."),
    ("PayloadTooLarge", Code::PayloadTooLarge, "The body is too large."),
    ("UnsupportedMediaType", Code::UnsupportedMediaType, "The body is of another media type."),
    ("Unprocessable", Code::Unprocessable, "The request is of the right form, but what it says cannot be."),
    ("PreconditionRequired", Code::PreconditionRequired, "The header If-Match is missing."),
];

/// The headers a request may carry, described once: name, name of the component, needed, description, example.
const HEADERS: &[(&str, &str, bool, &str, &str, usize)] = &[
    (
        "Idempotency-Key",
        "IdempotencyKey",
        false,
        "Makes a repeated request safe: within 24 hours the same key with the same request gets the first answer again, with `Idempotency-Replayed: true`. Quoted or bare.",
        "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"",
        257,
    ),
    ("If-Match", "IfMatch", true, "The ETag of the revision the change was decided on.", "\"17\"", 1024),
    (
        "If-None-Match",
        "IfNoneMatch",
        false,
        "The ETag of the revision the caller has; the answer is 304 when it is still the present one.",
        "\"17\"",
        1024,
    ),
    (
        "Prefer",
        "Prefer",
        false,
        "`wait=N` holds the answer for the outcome, at most 30 seconds; `respond-async` answers at once; `return=minimal` leaves the body away (RFC 7240).",
        "wait=10",
        256,
    ),
    (
        "x-correlator",
        "XCorrelator",
        false,
        "Ties the request to its answer, log lines and events. Made by the server when absent, and always in the answer.",
        "b4333c46-49c0-4f62-80d7-f0ef930f1c46",
        256,
    ),
];

/// The document, in OpenAPI 3.1.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, mut document) = actix_web::App::new().into_utoipa_app().openapi(base()).configure(routes).split_for_parts();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(path, &method, operation);
        }
    }
    let used: BTreeSet<_> = document.paths.paths.values_mut().flat_map(operations).flat_map(|(_, it)| referred(it)).collect();
    if let Some(components) = &mut document.components {
        components.responses.retain(|name, _| used.contains(name));
        show_pages(components);
    }
    show_jobs(&mut document);
    document
}

/// The names of the reusable responses that an operation refers to.
fn referred(operation: &Operation) -> Vec<String> {
    let names = operation.responses.responses.values().filter_map(|response| match response {
        RefOr::Ref(to) => to.ref_location.rsplit('/').next().map(str::to_owned),
        RefOr::T(_) => None,
    });
    names.collect()
}

/// Shows the body of a new job with every operation.
fn show_jobs(document: &mut OpenApi) {
    let (Some(item), Some(components)) = (document.paths.paths.get_mut("/v1/jobs"), &document.components) else { return };
    let body = item.post.as_mut().and_then(|post| post.request_body.as_mut());
    if let Some(RefOr::T(body)) = body {
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content {
                job_examples::show(content, components);
            }
        }
    }
}

/// Has every page refer to the things on it, and gives it an example: that of one of them.
fn show_pages(components: &mut Components) {
    let example = |name: &str| match components.schemas.get(name) {
        Some(RefOr::T(Schema::Object(thing))) => thing.example.clone(),
        _ => None,
    };
    let pages = components.schemas.keys().filter_map(|page| {
        let thing = page.strip_prefix("Page_")?;
        Some((page.clone(), thing.to_owned(), example(thing)?))
    });
    for (page, thing, item) in pages.collect::<Vec<_>>() {
        if let Some(RefOr::T(Schema::Object(page))) = components.schemas.get_mut(&page) {
            page.example = Some(serde_json::json!({"items": [item], "nextCursor": "eyJhZnRlciI6MTd9"}));
            if let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items") {
                items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(thing).into()));
            }
        }
    }
}

/// The document as YAML.
#[must_use]
pub fn to_yaml() -> String {
    openapi().to_yaml().unwrap_or_default()
}

/// The methods a path has.
pub(crate) fn methods(item: &PathItem) -> Vec<Method> {
    operations(&mut item.clone()).into_iter().map(|(method, _)| method).collect()
}

fn operations(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    [
        (Method::GET, item.get.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
        (Method::OPTIONS, item.options.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
    .collect()
}

fn base() -> OpenApi {
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("dmwsi")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(include_str!("openapi.md")))
                .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url("/").description(Some("This server.")).build()]))
        .tags(Some([
            tag("OAuth2", "How a client gets in."),
            tag("Devices", "The devices of your organisation."),
            tag("Jobs", "What is to be done on devices, and what came of it."),
            tag("Containers", "What external systems deliver, and what can be brought onto devices."),
            tag("Events", "What happened, in the order in which it is told: by pages and as a stream."),
            tag("Subscriptions", "Who is told of what happens, and what became of each delivery."),
            tag("Discovery", "What a stranger reads first."),
        ]))
        .components(Some(components()))
        .webhooks(Some(event_catalogue::webhooks()))
        .build()
}

fn tag(name: &str, description: &str) -> utoipa::openapi::Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

fn components() -> Components {
    let mut components = Components::new();
    components.schemas.insert("Problem".to_owned(), ProblemBody::schema());
    components.schemas.insert(FieldError::name().into_owned(), FieldError::schema());
    components.schemas.extend(event_catalogue::schemas());
    for (name, code, description) in ANSWERS {
        let response = ResponseBuilder::new().description(*description).content("application/problem+json", problem(*code));
        let mut response = response.build();
        response.headers.insert("x-correlator".to_owned(), correlator_header());
        components.responses.insert((*name).to_owned(), response.into());
    }
    for (name, component, required, description, example, longest) in HEADERS {
        let mut schema = ObjectBuilder::new().schema_type(Type::String).max_length(Some(*longest));
        if *name == "x-correlator" {
            schema = schema.pattern(Some(correlator::PATTERN));
        }
        let parameter = ParameterBuilder::new()
            .name(*name)
            .parameter_in(ParameterIn::Header)
            .required(if *required { Required::True } else { Required::False })
            .description(Some(*description))
            .schema(Some(schema))
            .example(required.then(|| (*example).into()));
        components.parameters.insert((*component).to_owned(), parameter.build().into());
    }
    components.parameters.extend(event_catalogue::parameters().map(|(name, parameter)| (name, parameter.into())));
    components.headers.insert("XCorrelator".to_owned(), described_correlator().into());
    let next =
        HeaderBuilder::new().schema(Some(Schema::from(ObjectBuilder::new().schema_type(Type::String).max_length(Some(4096)))));
    let next =
        next.description(Some("Where the next page is read, with `rel=\"next\"` (RFC 8288); absent on the last one.")).build();
    components.headers.insert("Link".to_owned(), next.into());
    let scopes = Scopes::from_iter(Scope::ALL.iter().map(|scope| (scope.as_str(), scope.description())));
    let flow = Flow::ClientCredentials(ClientCredentials::new("/oauth2/token", scopes));
    let scheme = OAuth2::with_description([flow], "Client credentials by Basic or in the form; tokens hold ten minutes.");
    components.security_schemes.insert("oauth2".to_owned(), SecurityScheme::OAuth2(scheme).into());
    components
}

fn described_correlator() -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).max_length(Some(256)).pattern(Some(correlator::PATTERN));
    HeaderBuilder::new().schema(Some(Schema::from(schema))).description(Some("The correlator of the request.")).build()
}

fn correlator_header() -> RefOr<Header> {
    RefOr::Ref(Ref::new("#/components/headers/XCorrelator"))
}

/// Problem details, with an example of that code.
fn problem(code: Code) -> Content {
    let mut content = Content::new(Some(RefOr::<Schema>::Ref(Ref::from_schema_name("Problem"))));
    content.example = Some(serde_json::json!({
        "type": format!("https://dm.example.com/problems/{}", code.slug()),
        "title": code.title(),
        "status": code.status().as_u16(),
        "detail": code.explanation(),
        "code": code.as_str(),
        "correlator": "b4333c46-49c0-4f62-80d7-f0ef930f1c46",
        "errors": [],
    }));
    content
}

/// Adds what holds for every operation.
fn complete(path: &str, method: &Method, operation: &mut Operation) {
    if let Some(id) = &operation.operation_id {
        operation.operation_id = Some(camel_case(id));
    }
    let parameters = operation.parameters.get_or_insert_default();
    let declares = |parameters: &[RefOr<Parameter>], wanted: &str| {
        parameters.iter().any(|parameter| matches!(parameter, RefOr::T(it) if it.name.eq_ignore_ascii_case(wanted)))
    };
    let (keyed, conditional) = (declares(parameters, "Idempotency-Key"), declares(parameters, "If-Match"));
    for parameter in parameters.iter_mut() {
        let RefOr::T(declared) = &*parameter else { continue };
        if let Some((_, component, ..)) = HEADERS.iter().find(|(name, ..)| declared.name.eq_ignore_ascii_case(name)) {
            *parameter = RefOr::Ref(Ref::new(format!("#/components/parameters/{component}")));
        } else if !matches!(declared.required, Required::True) {
            // Swagger UI fills an example in, and who only wants to try a list would filter it to nothing.
            *parameter = ParameterBuilder::from(declared.clone()).example(None).build().into();
        }
    }
    parameters.push(RefOr::Ref(Ref::new("#/components/parameters/XCorrelator")));

    let guarded = access(method, path) == Access::Token;
    let reads_json = operation.request_body.is_some() && guarded;
    for (name, code, _) in ANSWERS {
        let holds = match code {
            Code::Unauthenticated | Code::PermissionDenied => guarded,
            Code::NotFound => path.contains('{'),
            Code::IdempotencyKeyInUse | Code::Unprocessable => keyed,
            Code::FailedPrecondition | Code::PreconditionRequired => conditional,
            Code::PayloadTooLarge | Code::UnsupportedMediaType => reads_json,
            _ => true,
        };
        let status = code.status().as_u16().to_string();
        if holds && !operation.responses.responses.contains_key(&status) {
            operation.responses.responses.insert(status, RefOr::Ref(Ref::from_response_name(*name)));
        }
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            complete_response(status, response);
            if *method == Method::GET && is_page(response) {
                response.headers.insert("Link".to_owned(), RefOr::Ref(Ref::new("#/components/headers/Link")));
            }
        }
    }
}

/// Whether the answer is one page of a list.
fn is_page(response: &Response) -> bool {
    let page = "#/components/schemas/Page_";
    response.content.values().any(|content| match content {
        RefOr::T(content) => matches!(&content.schema, Some(RefOr::Ref(to)) if to.ref_location.starts_with(page)),
        RefOr::Ref(_) => false,
    })
}

fn complete_response(status: &str, response: &mut Response) {
    response.headers.insert("x-correlator".to_owned(), correlator_header());
    let code = status.parse().ok().and_then(|status| actix_web::http::StatusCode::from_u16(status).ok()).map(Code::of_status);
    // The gate refuses a malformed correlator, whatever the operation itself answers.
    let bare = response.content.is_empty() || status == "400";
    if let Some(code) = code.filter(|code| bare && status == code.status().as_str()) {
        response.content.insert("application/problem+json".to_owned(), problem(code).into());
    }
}

/// `create_token` becomes `createToken`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut joined, word| {
        let mut letters = word.chars();
        joined.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        joined.push_str(letters.as_str());
        joined
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_named_described_and_guarded_as_the_table_says() {
        let mut document = openapi();
        let mut ids = std::collections::BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                let id = operation.operation_id.clone().unwrap();
                assert!(!id.contains('_') && ids.insert(id), "{method} {path}");
                assert!(operation.summary.is_some() && operation.tags.is_some(), "{method} {path}");
                let guarded = access(&method, path) == Access::Token;
                assert_eq!(operation.security.is_some(), guarded, "{method} {path}");
                for (status, response) in &operation.responses.responses {
                    let RefOr::T(response) = response else { continue };
                    assert!(!response.description.is_empty() && response.headers.contains_key("x-correlator"), "{path} {status}");
                    assert!(status.starts_with(['2', '3']) || !response.content.is_empty(), "{path} {status}");
                }
            }
        }
    }

    /// utoipa leaves out what serde does not write, so a query that skips its paging would lose it here.
    #[test]
    fn every_list_takes_a_cursor_and_a_page_size() {
        let document = serde_json::to_value(openapi()).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
                if !schema.as_str().is_some_and(|name| name.starts_with("#/components/schemas/Page_")) {
                    continue;
                }
                let body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
                let asked = body.and_then(|name| document.pointer(name.trim_start_matches('#'))).unwrap_or(operation).to_string();
                assert!(asked.contains("\"cursor\"") && asked.contains("\"perPage\""), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let document = serde_json::to_value(openapi()).unwrap();
        let text = document.to_string();
        let references = text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next());
        for reference in references {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        assert_eq!(document["openapi"], "3.1.0");
        assert!(to_yaml().starts_with("openapi: 3.1.0"));
    }
}
