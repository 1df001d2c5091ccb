//! One example of a new job for each kind of operation, made of the example that the operation has itself.
use dmwsi_domain::operation::Request;
use serde_json::{Value, json};
use utoipa::PartialSchema as _;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::{Components, Content, RefOr, Schema};

use crate::new_job::NewJob;

/// Gives the body of `POST /v1/jobs` an example of every operation, by the names of their kinds.
pub(crate) fn show(content: &mut Content, components: &Components) {
    let (RefOr::T(Schema::OneOf(kinds)), RefOr::T(Schema::Object(whole))) = (Request::schema(), NewJob::schema()) else { return };
    let Some(target) = whole.example.as_ref().and_then(|job| job.get("target")) else { return };
    // The schema has the kinds in the order in which the domain lists their names.
    for (kind, name) in kinds.items.iter().zip(Request::TYPES) {
        let RefOr::T(Schema::AllOf(parts)) = kind else { continue };
        let Some(RefOr::Ref(fields)) = parts.items.first() else { continue };
        let fields = fields.ref_location.rsplit('/').next().and_then(|name| components.schemas.get(name));
        let Some(RefOr::T(Schema::Object(fields))) = fields else { continue };
        let Some(Value::Object(fields)) = &fields.example else { continue };
        let mut operation = json!({"type": name});
        operation.as_object_mut().into_iter().for_each(|all| all.extend(fields.clone()));
        let example = ExampleBuilder::new()
            .summary(parts.description.clone().unwrap_or_default())
            .value(Some(json!({"operation": operation, "target": target})));
        content.examples.insert((*name).to_owned(), example.build().into());
    }
}
