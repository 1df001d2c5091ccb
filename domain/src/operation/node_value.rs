//! Values as they are asked for, checked before a device sees them.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::{Format, NodeUri, Value};

use crate::{Error, Result};

/// The longest value, in bytes of text.
pub(super) const MAX_VALUE: usize = 65_536;

/// A fault of the request at that place.
pub(super) fn invalid<T>(pointer: String, detail: impl Into<String>) -> Result<T> {
    Err(Error::invalid(pointer, "INVALID_ARGUMENT", detail))
}

/// Whether the address names a node and asks nothing of it.
pub(super) fn check_node(pointer: &str, node: &NodeUri) -> Result<()> {
    match node.question() {
        Some(_) => invalid(pointer.to_owned(), "a node is named here, not one of its properties"),
        None => Ok(()),
    }
}

/// Whether the text can be a value of that format; `pointer` is that of the object whose `value` it is.
pub(super) fn check_value(pointer: &str, format: Format, value: Option<&str>) -> Result<()> {
    let at = || format!("{pointer}/value");
    let Some(value) = value else { return Ok(()) };
    if value.len() > MAX_VALUE {
        return invalid(at(), format!("the value is longer than {MAX_VALUE} bytes"));
    }
    let fits = match format {
        Format::B64 | Format::Bin => BASE64_STANDARD.decode(value).is_ok(),
        Format::Bool => matches!(value, "true" | "false"),
        Format::Float => value.parse::<f32>().is_ok(),
        Format::Int => value.parse::<i32>().is_ok(),
        Format::Node | Format::Null => value.is_empty(),
        Format::Chr | Format::Date | Format::Time | Format::Xml => true,
    };
    if fits { Ok(()) } else { invalid(at(), format!("this is no value of the format {}", format.as_str())) }
}

/// The value of these parts.
pub(super) fn value(format: Format, media_type: Option<&String>, text: Option<&String>) -> Value {
    Value { format, media_type: media_type.cloned(), data: text.cloned().unwrap_or_default() }
}
