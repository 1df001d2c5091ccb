//! Every type of event, as the descriptions of the interface tell it: made from what [`Event`] says of itself.
use dmwsi_domain::event::Event;
use serde_json::{Value, json};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{AllOfBuilder, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Content, Ref, RefOr, Required};
use utoipa::{PartialSchema as _, ToSchema};

/// The media type in which an event is sent.
pub(crate) const CLOUD_EVENT: &str = "application/cloudevents+json";

/// The headers of an event that is sent (Standard Webhooks 1.0, and HTTP Webhooks of CloudEvents): name, name of the component, description, pattern.
const HEADERS: &[(&str, &str, &str, &str)] = &[
    (
        "webhook-id",
        "WebhookId",
        "The id of the event, the same on every attempt: by it a repeated delivery is known.",
        "^evt_[0-9a-f]{32}$",
    ),
    (
        "webhook-timestamp",
        "WebhookTimestamp",
        "When this attempt was made, in seconds since 1970; one far from your clock is to be refused.",
        "^[0-9]{1,20}$",
    ),
    (
        "webhook-signature",
        "WebhookSignature",
        "Signatures over `id.timestamp.body`, with blanks between them: `v1,` and HMAC-SHA256 or `v1a,` and ed25519, each in base64.",
        "^v1a?,[A-Za-z0-9+/=]+( v1a?,[A-Za-z0-9+/=]+)*$",
    ),
    (
        "WebHook-Request-Origin",
        "WebHookRequestOrigin",
        "The host of this server, the same as when the receiver is asked whether it wants the events.",
        "^[A-Za-z0-9.:_\\[\\]-]+$",
    ),
];

/// A type of event.
pub(crate) struct Described {
    /// Its name, such as `dmwsi.v1.job-completed`.
    pub(crate) name: &'static str,
    /// What its schemas begin with: `JobCompleted`.
    pub(crate) stem: String,
    /// What happened.
    pub(crate) words: String,
    /// The schema of its data.
    data: Object,
}

/// Every type, in alphabetical order.
pub(crate) fn described() -> Vec<Described> {
    let RefOr::T(Schema::OneOf(all)) = Event::schema() else { return Vec::new() };
    // The variants stand in the order of the types: a test sees to it.
    let variants = all.items.into_iter().zip(Event::TYPES);
    let described = |(variant, name): (RefOr<Schema>, &&'static str)| {
        let RefOr::T(Schema::Object(variant)) = variant else { return None };
        let data = match variant.properties.get("data") {
            Some(RefOr::T(Schema::Object(data))) => data.clone(),
            _ => return None,
        };
        Some(Described { name, stem: stem(name), words: variant.description.unwrap_or_default(), data: complete(name, data) })
    };
    variants.filter_map(described).collect()
}

impl Described {
    /// The last part of the name: `job-completed`.
    pub(crate) fn short(&self) -> &'static str {
        short(self.name)
    }

    /// What a subscriber gets, as an example.
    pub(crate) fn example(&self) -> Value {
        let (job, device) = ("job_019a8e5d3c7b7f10a1b2c3d4e5f60718", "dev_8f14e45fceea167a5a36dedd4bea2543");
        let mut data = Event::example(self.name).unwrap_or_default();
        let named = |field: &str, noun: &str| Some(format!("{noun}/{}", data.get(field)?.as_str()?));
        let named = named("containerId", "containers").or_else(|| named("subscriptionId", "subscriptions"));
        for (field, value) in [("jobId", job), ("deviceId", device)] {
            if let Some(data) = data.as_object_mut().filter(|_| self.data.properties.contains_key(field)) {
                data.insert(field.to_owned(), value.into());
            }
        }
        let subject = match about(self.name) {
            [_, _] => Some(format!("jobs/{job}/executions/{device}")),
            ["jobId"] => Some(format!("jobs/{job}")),
            ["deviceId"] => Some(format!("devices/{device}")),
            _ => named,
        };
        let mut example = json!({
            "specversion": "1.0", "id": "evt_019a8e5d3c7b7f10a1b2c3d4e5f60718", "source": "https://dm.example.com/v1", "type": self.name,
            "time": "2026-11-21T10:16:02Z", "datacontenttype": "application/json", "sequence": "00000000000000001234", "data": data
        });
        if let (Some(example), Some(subject)) = (example.as_object_mut(), subject) {
            example.insert("subject".to_owned(), subject.into());
        }
        example
    }
}

fn short(name: &'static str) -> &'static str {
    name.rsplit('.').next().unwrap_or(name)
}

fn stem(name: &'static str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    short(name).split('-').map(capital).collect()
}

/// The ids that are told beside the data of an event of that type.
fn about(name: &'static str) -> &'static [&'static str] {
    match short(name).split('-').next() {
        Some("execution") => &["jobId", "deviceId"],
        Some("job") => &["jobId"],
        Some("device") => &["deviceId"],
        _ => &[],
    }
}

/// Adds those ids to the schema of the data, and what a delivery says of its subscription.
fn complete(name: &'static str, mut data: Object) -> Object {
    for field in about(name) {
        let (words, pattern) =
            if *field == "jobId" { ("The job.", "^job_[0-9a-f]{32}$") } else { ("The device.", "^dev_[0-9a-f]{32}$") };
        let id =
            ObjectBuilder::new().schema_type(Type::String).description(Some(words)).max_length(Some(36)).pattern(Some(pattern));
        data.properties.insert((*field).to_owned(), RefOr::T(Schema::Object(id.build())));
        data.required.push((*field).to_owned());
    }
    let text = |words: &str, longest: usize| {
        ObjectBuilder::new().schema_type(Type::String).description(Some(words)).max_length(Some(longest))
    };
    let callback = text("In deliveries only: the `callbackData` of the subscription, where it has some.", 256);
    let subscription = text("In deliveries only: the subscription for which it is delivered.", 36);
    for (field, schema) in [("callbackData", callback), ("subscriptionId", subscription.pattern(Some("^sub_[0-9a-f]{32}$")))] {
        // What is about a subscription names that one itself.
        data.properties.entry(field.to_owned()).or_insert_with(|| RefOr::T(Schema::Object(schema.build())));
    }
    // A subscriber that asked for thin payload gets all but this.
    data.required.retain(|field| Event::told_in_full(name) != Some(field.as_str()));
    data
}

/// The schemas of all events and of what they are made of, by their names.
pub(crate) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = Vec::new();
    <Event as ToSchema>::schemas(&mut schemas);
    for event in described() {
        let kind = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([event.name]));
        let data = format!("{}Data", event.stem);
        let told = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("type", kind)
            .property("data", Ref::from_schema_name(data.clone()))
            .required("type")
            .required("data");
        let envelope =
            AllOfBuilder::new().item(Ref::from_schema_name("CloudEvent")).item(told).description(Some(event.words.clone()));
        schemas.push((format!("{}Event", event.stem), RefOr::T(Schema::AllOf(envelope.examples([event.example()]).build()))));
        schemas.push((data, RefOr::T(Schema::Object(event.data))));
    }
    schemas
}

/// The headers as reusable parameters.
pub(crate) fn parameters() -> impl Iterator<Item = (String, Parameter)> {
    HEADERS.iter().map(|(name, component, words, pattern)| {
        let schema = ObjectBuilder::new().schema_type(Type::String).max_length(Some(1_024)).pattern(Some(*pattern));
        let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Header).required(Required::True);
        ((*component).to_owned(), parameter.description(Some(*words)).schema(Some(schema)).build())
    })
}

/// What this server sends to whoever subscribed: one entry for each type of event.
pub(crate) fn webhooks() -> Paths {
    described().into_iter().fold(PathsBuilder::new(), |paths, event| paths.path(event.short(), webhook(&event))).build()
}

fn webhook(event: &Described) -> PathItem {
    let schema = RefOr::<Schema>::Ref(Ref::from_schema_name(format!("{}Event", event.stem)));
    let body = RequestBodyBuilder::new().content(CLOUD_EVENT, Content::new(Some(schema))).required(Some(Required::True));
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let retry = HeaderBuilder::new()
        .schema(Some(Schema::Object(seconds.build())))
        .description(Some("In how many seconds to come again."));
    let busy = ResponseBuilder::new().description("Too fast: it is sent again later.").header("Retry-After", retry.build());
    let mut operation = OperationBuilder::new()
        .operation_id(Some(format!("on{}", event.stem)))
        .tag("Events")
        .summary(Some(format!("Told by `{}`", event.name)))
        .description(Some(event.words.clone()))
        .request_body(Some(body.build()))
        .response("2XX", ResponseBuilder::new().description("Taken: it is not sent again.").build())
        .response(
            "410",
            ResponseBuilder::new().description("Nobody is here any more: the subscription is switched off (`GONE`).").build(),
        )
        .response("429", busy.build())
        .build();
    let headers = HEADERS.iter().map(|(_, component, ..)| *component).chain(["XCorrelator"]);
    let headers = headers.map(|component| RefOr::Ref(Ref::new(format!("#/components/parameters/{component}"))));
    operation.parameters = Some(headers.collect());
    PathItem::new(HttpMethod::Post, operation)
}
