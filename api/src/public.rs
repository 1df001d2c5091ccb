//! The table of public routes: what is answered without a token. Everything else is refused without one.
use actix_web::http::Method;

enum Address {
    /// This path and no other.
    Is(&'static str),
    /// Every path that starts so.
    Under(&'static str),
}

use Address::{Is, Under};

/// Every public route; HEAD goes with GET.
const PUBLIC: &[(Method, Address)] = &[
    (Method::GET, Is("/")),
    (Method::GET, Is("/.well-known/api-catalog")),
    (Method::GET, Is("/.well-known/oauth-authorization-server")),
    (Method::GET, Is("/asyncapi.json")),
    (Method::GET, Is("/asyncapi.yaml")),
    (Method::GET, Is("/docs")),
    (Method::GET, Under("/docs/")),
    (Method::GET, Is("/oauth2/jwks")),
    (Method::GET, Is("/openapi.json")),
    (Method::GET, Is("/openapi.yaml")),
    (Method::GET, Under("/problems/")),
    (Method::GET, Under("/webhooks/")),
    (Method::POST, Is("/oauth2/token")),
    (Method::POST, Under("/webhooks/")),
];

/// How the outside may come to an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Access {
    /// Without a token.
    Public,
    /// The address is public, but only by these methods.
    PublicBy(Vec<Method>),
    /// With a token.
    Token,
}

/// How `method` on `path` is guarded. The path is taken as it came, undecoded, so that no spelling of a guarded one looks public.
#[must_use]
pub fn access(method: &Method, path: &str) -> Access {
    let methods: Vec<_> = PUBLIC
        .iter()
        .filter(|(_, address)| match address {
            Is(exact) => path == *exact,
            Under(start) => path.starts_with(start),
        })
        .map(|(method, _)| method.clone())
        .collect();
    match methods.as_slice() {
        [] => Access::Token,
        some if some.contains(method) => Access::Public,
        _ => Access::PublicBy(methods),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_name_needs_a_token() {
        assert_eq!(access(&Method::GET, "/docs/index.html"), Access::Public);
        assert_eq!(access(&Method::GET, "/oauth2/token"), Access::PublicBy(vec![Method::POST]));
        for path in ["/v1/devices", "/v1", "/docsx", "//docs/", "/%64ocs/", "/oauth2/token/", "/nothing", ""] {
            assert_eq!(access(&Method::GET, path), Access::Token, "{path}");
        }
    }
}
