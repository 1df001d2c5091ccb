//! The document of the interface, walked: what must hold for every operation is asked of every operation.
use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

/// A container that nobody delivered.
pub(crate) const NO_CONTAINER: &str = "con_00000000000070008000000000000000";
/// A deliverable that is not there.
pub(crate) const NO_DELIVERABLE: &str = "dlv_00000000000070008000000000000000";
/// An upload that nobody began.
pub(crate) const NO_UPLOAD: &str = "upl_00000000000070008000000000000000";

/// A subscription that nobody made.
pub(crate) const NO_SUBSCRIPTION: &str = "sub_00000000000070008000000000000000";
/// A session of which there is no record.
pub(crate) const NO_SESSION: &str = "ses_00000000000070008000000000000000";
/// An event that never happened.
pub(crate) const NO_EVENT: &str = "evt_00000000000070008000000000000000";

/// The OpenAPI document.
pub(crate) struct Document(pub(crate) Value);

/// An operation of it.
pub(crate) struct Operation<'d> {
    pub(crate) document: &'d Document,
    pub(crate) method: Method,
    pub(crate) path: &'d str,
    pub(crate) value: &'d Value,
}

/// A body that an operation takes.
pub(crate) struct Taken<'d> {
    pub(crate) media_type: &'d str,
    pub(crate) schema: &'d Value,
    pub(crate) example: Value,
}

impl Document {
    /// As the program makes it.
    pub(crate) fn generated() -> Self {
        Self(serde_json::to_value(dmwsi_api::openapi()).unwrap())
    }

    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        let mut all = Vec::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for (method, value) in item.as_object().unwrap() {
                all.push(Operation { document: self, method: method.to_uppercase().parse().unwrap(), path, value });
            }
        }
        all
    }

    /// Those that need a token.
    pub(crate) fn guarded(&self) -> Vec<Operation<'_>> {
        self.operations().into_iter().filter(|operation| operation.scope().is_some()).collect()
    }

    /// What a reference leads to; anything else is itself.
    pub(crate) fn resolved<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(name) => {
                let found = self.0.pointer(name.trim_start_matches('#'));
                self.resolved(found.unwrap_or_else(|| panic!("{name} leads nowhere")))
            }
            None => value,
        }
    }

    /// The example of a content: its own, or that of its schema.
    pub(crate) fn example(&self, content: &Value) -> Option<Value> {
        let of = |value: &Value| {
            let first =
                value["examples"].as_array().and_then(|all| all.first()).or_else(|| value["examples"]["default"].get("value"));
            value.get("example").or(first).cloned()
        };
        of(content).or_else(|| of(self.resolved(&content["schema"])))
    }

    /// What is wrong with `value` by `schema`; empty when nothing is. Knows of JSON Schema what the document uses.
    pub(crate) fn faults(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let schema = self.resolved(schema);
        let mut faults = Vec::new();
        let mut fault = |what: String| faults.push(format!("{at}: {what}"));
        if let Some(types) = schema.get("type") {
            let types: Vec<_> = types.as_array().map_or_else(|| vec![types], |many| many.iter().collect());
            if !types.iter().any(|name| is_of_type(value, name.as_str().unwrap())) {
                fault(format!("is no {types:?}: {value}"));
            }
        }
        if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
            fault(format!("{value} is none of {}", schema["enum"]));
        }
        if let Some(text) = value.as_str() {
            let length = text.chars().count();
            if schema["maxLength"].as_u64().is_some_and(|most| u64::try_from(length).unwrap() > most) {
                fault(format!("is longer than {}", schema["maxLength"]));
            }
        }
        if let Some(number) = value.as_f64() {
            let low = schema["minimum"].as_f64().is_some_and(|least| number < least);
            if low || schema["maximum"].as_f64().is_some_and(|most| number > most) {
                fault(format!("{number} is out of its bounds"));
            }
        }
        if let Some(items) = value.as_array() {
            if schema["maxItems"].as_u64().is_some_and(|most| u64::try_from(items.len()).unwrap() > most) {
                fault(format!("has more items than {}", schema["maxItems"]));
            }
            if schema.get("items").is_some() {
                let of_item = |(n, item): (usize, &Value)| self.faults(&schema["items"], item, &format!("{at}/{n}"));
                faults.extend(items.iter().enumerate().flat_map(of_item));
            }
        }
        if let Some(fields) = value.as_object() {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(name) {
                    faults.push(format!("{at}: lacks {name}"));
                }
            }
            for (name, field) in fields {
                if let Some(schema) = schema["properties"].get(name) {
                    faults.extend(self.faults(schema, field, &format!("{at}/{name}")));
                }
            }
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            faults.extend(self.faults(part, value, at));
        }
        for choice in ["oneOf", "anyOf"] {
            let Some(options) = schema[choice].as_array() else { continue };
            let tried: Vec<_> = options.iter().map(|option| self.faults(option, value, at)).collect();
            if tried.iter().all(|faults| !faults.is_empty()) {
                faults.push(format!("{at}: fits no option: {tried:?}"));
            }
        }
        faults
    }

    /// The fields of `value` that the document does not name, as places.
    pub(crate) fn undeclared(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        match value {
            Value::Array(items) => {
                let Some(schema) = self.parts(schema).into_iter().find_map(|part| part.get("items")) else { return Vec::new() };
                items.iter().enumerate().flat_map(|(n, item)| self.undeclared(schema, item, &format!("{at}/{n}"))).collect()
            }
            Value::Object(fields) => {
                let parts = self.parts(schema);
                let open = parts.iter().any(|part| part.get("additionalProperties").is_some_and(|more| *more != false));
                if open || parts.iter().all(|part| part.get("properties").is_none()) {
                    return Vec::new();
                }
                let of_field = |(name, field): (&String, &Value)| {
                    let declared: Vec<_> = parts.iter().filter_map(|part| part["properties"].get(name)).collect();
                    let place = format!("{at}/{name}");
                    if declared.is_empty() {
                        return vec![place];
                    }
                    let tried: Vec<_> = declared.into_iter().map(|schema| self.undeclared(schema, field, &place)).collect();
                    tried.into_iter().min_by_key(Vec::len).unwrap_or_default()
                };
                fields.iter().flat_map(of_field).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A schema with all it is put together from.
    fn parts<'d>(&'d self, schema: &'d Value) -> Vec<&'d Value> {
        let schema = self.resolved(schema);
        let deeper = ["allOf", "oneOf", "anyOf"].iter().filter_map(|name| schema[*name].as_array()).flatten();
        std::iter::once(schema).chain(deeper.flat_map(|part| self.parts(part))).collect()
    }

    /// Every `$ref` in it.
    pub(crate) fn references(&self) -> BTreeSet<String> {
        let text = self.0.to_string();
        text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    }
}

impl<'d> Operation<'d> {
    /// `POST /v1/jobs`
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The scope it needs; none where it is public.
    pub(crate) fn scope(&self) -> Option<&'d str> {
        self.value["security"][0]["oauth2"][0].as_str()
    }

    pub(crate) fn parameters(&self) -> Vec<&'d Value> {
        let all = self.value["parameters"].as_array();
        all.into_iter().flatten().map(|parameter| self.document.resolved(parameter)).collect()
    }

    /// Whether it has a parameter of that name.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.parameters().iter().any(|parameter| parameter["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)))
    }

    /// Its path with the names in braces filled in: the job and the device of a test.
    pub(crate) fn address(&self, job: &str, device: &str) -> String {
        let path = self.path.replace("{id}", job).replace("{deviceId}", device).replace("{problemType}", "invalid-argument");
        path.replace("{containerId}", NO_CONTAINER)
            .replace("{deliverableId}", NO_DELIVERABLE)
            .replace("{uploadId}", NO_UPLOAD)
            .replace("{subscriptionId}", NO_SUBSCRIPTION)
            .replace("{eventId}", NO_EVENT)
            .replace("{sessionId}", NO_SESSION)
    }

    /// The body it takes.
    pub(crate) fn body(&self) -> Option<Taken<'d>> {
        let (media_type, content) = self.value["requestBody"]["content"].as_object()?.iter().next()?;
        let example = self.document.example(content).unwrap_or_else(|| panic!("{} has no example", self.name()));
        Some(Taken { media_type, schema: &content["schema"], example })
    }

    /// Whether its body is bytes that no schema describes.
    pub(crate) fn takes_bytes(&self) -> bool {
        self.body().is_some_and(|taken| taken.media_type.ends_with("+tar") || taken.media_type.ends_with("upload"))
    }

    /// The body it takes, as bytes, with the header that names its type and the others that must be there.
    pub(crate) fn sample(&self) -> (Vec<(&'d str, &'d str)>, Vec<u8>) {
        let needed =
            self.parameters().into_iter().filter(|parameter| parameter["in"] == "header" && parameter["required"] == true);
        let needed = needed.filter(|parameter| parameter["name"] != "If-Match");
        let mut headers: Vec<_> =
            needed.map(|parameter| (parameter["name"].as_str().unwrap(), parameter["example"].as_str().unwrap())).collect();
        let Some(taken) = self.body() else { return (headers, Vec::new()) };
        let bytes = taken.example.as_str().map_or_else(|| taken.example.to_string(), str::to_owned).into_bytes();
        headers.push(("content-type", taken.media_type));
        (headers, bytes)
    }

    /// Status and response of each answer it declares.
    pub(crate) fn answers(&self) -> Vec<(&'d str, &'d Value)> {
        let all = self.value["responses"].as_object().unwrap();
        all.iter().map(|(status, response)| (status.as_str(), self.document.resolved(response))).collect()
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        other => panic!("no such type: {other}"),
    }
}
