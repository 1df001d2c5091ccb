//! Pages of a list: how many, and where the next one starts.
use actix_web::body::BoxBody;
use actix_web::http::Method;
use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, Responder};
use dmwsi_domain::Result;
use serde::{Deserialize, Deserializer, Serialize, de};
use url::form_urlencoded;
use utoipa::ToSchema;

/// How many things a page has: 1 to 100, 20 by default.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct PerPage(u16);

impl PerPage {
    /// The number; a query asks for [`Self::and_one`] to know whether more follow.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// One more than the page has, as a limit for a query.
    #[must_use]
    pub fn and_one(self) -> i64 {
        i64::from(self.0).saturating_add(1)
    }
}

impl Default for PerPage {
    fn default() -> Self {
        Self(20)
    }
}

impl<'de> Deserialize<'de> for PerPage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            number @ 1..=100 => Ok(Self(number)),
            _ => Err(de::Error::custom("perPage is a number from 1 to 100")),
        }
    }
}

impl utoipa::PartialSchema for PerPage {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::Integer)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Int32)))
            .description(Some("How many things a page has at most."))
            .minimum(Some(1))
            .maximum(Some(100))
            .default(Some(20.into()))
            .into()
    }
}

impl ToSchema for PerPage {}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The things, in the order of the list.
    #[schema(max_items = 100)]
    pub items: Vec<T>,
    /// Give it as `cursor` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts `rows`, of which one more than a page was asked for, to a page; `next` makes the cursor that follows the last of it.
    pub fn cut<R, E>(
        mut rows: Vec<R>,
        per_page: PerPage,
        next: impl FnOnce(&R) -> Result<String, E>,
        view: impl FnMut(R) -> Result<T, E>,
    ) -> Result<Self, E> {
        let size = usize::from(per_page.get());
        let more = rows.len() > size;
        rows.truncate(size);
        let next_cursor = rows.last().filter(|_| more).map(next).transpose()?;
        Ok(Self { items: rows.into_iter().map(view).collect::<Result<_, E>>()?, next_cursor })
    }
}

impl<T: Serialize> Responder for Page<T> {
    type Body = BoxBody;

    /// As JSON; where another page follows and can be read by GET, its address stands in `Link` (RFC 8288).
    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(cursor) = self.next_cursor.as_deref().filter(|_| request.method() == Method::GET) {
            response.insert_header((LINK, format!("<{}>; rel=\"next\"", address(request, cursor))));
        }
        response.json(self)
    }
}

/// The address of the request with that cursor in the place of its own.
fn address(request: &HttpRequest, cursor: &str) -> String {
    let asked = form_urlencoded::parse(request.query_string().as_bytes()).filter(|(name, _)| name != "cursor");
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(asked).append_pair("cursor", cursor).finish();
    format!("{}?{query}", request.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_the_next_one_only_when_something_follows() {
        let per_page: PerPage = serde_json::from_str("2").unwrap();
        let cut = |rows: Vec<u32>| {
            Page::<u32>::cut(rows, per_page, |row| Ok::<_, ()>(row.to_string()), Ok).map(|page| (page.items, page.next_cursor))
        };
        assert_eq!(cut(vec![1, 2, 3]), Ok((vec![1, 2], Some("2".into()))));
        assert_eq!(cut(vec![1, 2]), Ok((vec![1, 2], None)));
        assert_eq!(cut(vec![]), Ok((vec![], None)));
        for wrong in ["0", "101", "-1", "\"x\""] {
            assert!(serde_json::from_str::<PerPage>(wrong).is_err(), "{wrong}");
        }
    }
}
