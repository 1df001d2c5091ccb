//! Permission as the type of an argument: a handler that forgot its check has no application to work with.
use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use dmwsi_domain::Error;
use dmwsi_domain::id::DeviceId;
use dmwsi_domain::scope::Scope;

use crate::app::App;
use crate::callers::{Caller, unauthenticated};
use crate::problem::{Code, Problem};

/// A scope as a type.
pub trait Permission: 'static {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! permissions {
    ($($name:ident,)*) => {$(
        #[doc = concat!("Lets in who holds [`Scope::", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Permission for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}

permissions! {
    ContainersRead,
    ContainersWrite,
    DevicesBootstrap,
    DevicesRead,
    DevicesTrace,
    DevicesWake,
    DevicesWrite,
    EventsRead,
    JobsRead,
    JobsWrite,
    SubscriptionsRead,
    SubscriptionsWrite,
}

/// The application and who calls, reachable only by a caller who holds `S`. It stands first among the arguments, so that who may not
/// call learns nothing about the rest of the request.
#[derive(Clone)]
pub struct Allowed<S> {
    /// The application.
    pub app: App,
    /// Who calls.
    pub caller: Caller,
    scope: PhantomData<S>,
}

impl<S> Allowed<S> {
    /// The device the caller's organisation knows by `text`; whether it is still there the store says. Anything else is 404.
    pub fn device(&self, text: &str) -> Result<DeviceId, Problem> {
        let inside = self.app.keys.device_ids.inside(self.caller.organisation, text);
        inside.ok_or_else(|| Problem::not_found("device"))
    }

    /// The id by which the caller's organisation knows `device`.
    pub fn public_id(&self, device: DeviceId) -> Result<String, Error> {
        self.app.keys.device_ids.public(self.caller.organisation, device)
    }
}

impl<S: Permission> FromRequest for Allowed<S> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        let app = request.app_data::<web::Data<App>>().map(|app| App::clone(app));
        ready(match (app, caller) {
            (Some(app), Some(caller)) => caller.needs(S::SCOPE).map(|()| Self { app, caller, scope: PhantomData }),
            (None, _) => Err(Problem::new(Code::Internal, "The application is not mounted.")),
            (_, None) => Err(unauthenticated(None)),
        })
    }
}
