//! `dmwsi openapi`: the description of the interface.
use crate::Failure;

pub(crate) fn run() -> Result<(), Failure> {
    print!("{}", dmwsi_api::to_yaml()?);
    Ok(())
}
