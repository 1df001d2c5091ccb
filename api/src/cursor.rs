//! Cursors: where a list goes on, sealed for one client, one list and one set of filters.
use openssl::sha::Sha256;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use dmwsi_domain::id::ClientId;
use dmwsi_domain::{Error, Result};

use crate::problem::Problem;
use crate::seal::Sealer;

/// The list a cursor belongs to: whose, which, and with what filters. A cursor of another list is refused.
pub struct List([u8; 32]);

impl List {
    /// The list `name` as `client` asked for it; `filters` is everything that chooses its rows, mostly the query. Its `cursor` and
    /// `perPage` are left out: those may change from page to page.
    pub fn new(client: ClientId, name: &'static str, filters: &impl Serialize) -> Result<Self> {
        let mut filters = serde_json::to_value(filters).map_err(Error::internal)?;
        leave_paging_out(&mut filters);
        let filters = filters.to_string();
        let mut hash = Sha256::new();
        hash.update(b"cursor\0");
        hash.update(client.uuid().as_bytes());
        hash.update(name.as_bytes());
        hash.update(b"\0");
        hash.update(filters.as_bytes());
        Ok(Self(hash.finish()))
    }

    /// The cursor for `position`, which is what the next page starts after.
    pub fn cursor(&self, sealer: &Sealer, position: &impl Serialize) -> Result<String> {
        sealer.seal_text(&self.0, &serde_json::to_vec(position).map_err(Error::internal)?)
    }

    /// The position in `cursor`, if there is one; one of another list is refused.
    pub fn position<T: DeserializeOwned>(&self, sealer: &Sealer, cursor: Option<&str>) -> Result<Option<T>, Problem> {
        let Some(cursor) = cursor else { return Ok(None) };
        let position = sealer.open_text(&self.0, cursor).and_then(|plain| serde_json::from_slice(&plain).ok());
        position.map(Some).ok_or_else(|| Problem::invalid("The cursor is not one of this list with these filters."))
    }
}

fn leave_paging_out(filters: &mut Value) {
    match filters {
        Value::Array(parts) => parts.iter_mut().for_each(leave_paging_out),
        Value::Object(query) => query.retain(|name, _| !matches!(name.as_str(), "cursor" | "perPage")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use dmwsi_domain::Clock;

    use super::*;

    #[test]
    fn a_cursor_works_for_its_client_its_list_and_its_filters_only() {
        let sealer = Sealer::new([3; 32]);
        let [a, b] = [(); 2].map(|()| ClientId::new(Clock::System.new_id()));
        let list = List::new(a, "devices", &("acme", 1)).unwrap();
        let cursor = list.cursor(&sealer, &"position").unwrap();
        assert!(!cursor.contains("position"));
        let read = |list: List| list.position::<String>(&sealer, Some(&cursor)).map_err(|problem| problem.code());
        assert_eq!(read(list), Ok(Some("position".to_owned())));
        assert!(read(List::new(b, "devices", &("acme", 1)).unwrap()).is_err());
        assert!(read(List::new(a, "jobs", &("acme", 1)).unwrap()).is_err());
        assert!(read(List::new(a, "devices", &("acme", 2)).unwrap()).is_err());
    }
    #[test]
    fn a_cursor_works_with_another_page_size() {
        let sealer = Sealer::new([3; 32]);
        let client = ClientId::new(Clock::System.new_id());
        let list = |query| List::new(client, "jobs", &("job", query)).unwrap();
        let first = serde_json::json!({"state": "RUNNING", "perPage": 20, "cursor": null});
        let cursor = list(first).cursor(&sealer, &1).unwrap();
        let second = serde_json::json!({"state": "RUNNING", "perPage": 50, "cursor": cursor});
        assert_eq!(list(second).position::<u8>(&sealer, Some(&cursor)).map_err(|problem| problem.code()), Ok(Some(1)));
    }
}
