//! `dmwsi openapi`: the description of the interface.
pub(crate) fn run() {
    print!("{}", dmwsi_api::to_yaml());
}
