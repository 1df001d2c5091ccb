//! The proxy that ends TLS in front of the server.
use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorForbidden;
use actix_web::middleware::Next;

/// Lets plain HTTP in only by the proxy that ends TLS, where one is named, and from this machine.
pub(crate) async fn by_proxy(
    proxy: Option<IpAddr>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let from = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let passes = |proxy: IpAddr| from.is_some_and(|from| from == proxy.to_canonical() || from.is_loopback());
    if proxy.is_none_or(passes) { next.call(request).await } else { Err(ErrorForbidden("plain HTTP is for the proxy only\n")) }
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, init_service};
    use actix_web::{App, HttpResponse, web};

    use super::*;

    #[tokio::test]
    async fn plain_http_is_for_the_named_proxy_and_for_this_machine() {
        for (proxy, from, passes) in [
            (Some("10.0.0.1"), "10.0.0.1:4000", true),
            (Some("10.0.0.1"), "[::ffff:10.0.0.1]:4000", true),
            (Some("10.0.0.1"), "127.0.0.1:4000", true),
            (Some("10.0.0.1"), "10.0.0.2:4000", false),
            (None, "10.0.0.2:4000", true),
        ] {
            let proxy = proxy.map(|proxy| proxy.parse().unwrap());
            let app = App::new()
                .wrap(from_fn(move |request, next| by_proxy(proxy, request, next)))
                .default_service(web::to(async || HttpResponse::Ok()));
            let app = init_service(app).await;
            let request = TestRequest::default().peer_addr(from.parse().unwrap()).to_request();
            let status = match actix_web::dev::Service::call(&app, request).await {
                Ok(response) => response.status(),
                Err(error) => error.as_response_error().status_code(),
            };
            assert_eq!(status == StatusCode::OK, passes, "{from}");
        }
    }
}
