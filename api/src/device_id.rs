//! Public ids of devices, in the document.
pub use dmwsi_store::device_id::{DeviceIds, PREFIX};

/// A public id in the document: `#[schema(value_type = PublicDeviceId)]`, or the type of a path parameter.
#[derive(Debug)]
pub struct PublicDeviceId;

impl utoipa::PartialSchema for PublicDeviceId {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("A device, as your organisation knows it."))
            .pattern(Some("^dev_[0-9a-f]{32}$"))
            .max_length(Some(36))
            .examples(["dev_5f0c1e9a7b3d48f2a6c4e8d01b2f3a49"])
            .into()
    }
}

impl utoipa::ToSchema for PublicDeviceId {}
