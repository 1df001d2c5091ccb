//! `dmwsi openapi` and `dmwsi asyncapi`: the descriptions of the interface.
pub(crate) fn run() {
    print!("{}", dmwsi_api::to_yaml());
}

pub(crate) fn run_asyncapi() {
    print!("{}", dmwsi_api::asyncapi_yaml());
}
