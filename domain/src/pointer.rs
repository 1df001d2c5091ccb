//! Places in a document, as JSON pointers (RFC 6901).
use serde_path_to_error::{Path, Segment};

/// The place of a fault that serde found. Where a field is missing or unknown serde stops at the object, and the field's name stands in the
/// message.
#[must_use]
pub fn pointer(path: &Path, error: &serde_json::Error) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let message = error.to_string();
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split('`').next());
    if let Some(field) = named
        && !pointer.ends_with(&format!("/{}", escape(field)))
    {
        push(&mut pointer, field);
    }
    pointer
}

/// Adds a step to a pointer.
pub fn push(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&escape(key));
}

/// RFC 6901, 3.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
