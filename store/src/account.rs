//! The secrets of a device's account, sealed for the columns they stand in.
use dmwsi_domain::Result;
use dmwsi_domain::account::{Account, Sealed, SealedAccount, Secret, Side};
use dmwsi_domain::id::DeviceId;

use crate::column::text;
use crate::seal::{self, Keys, Place};

impl Keys {
    /// Seals both secrets of a device's account.
    pub fn seal_account(&self, device: DeviceId, account: Account) -> Result<SealedAccount> {
        account.seal(|side, secret| self.seal_secret(device, side, secret))
    }

    /// Seals one secret of a device.
    pub fn seal_secret(&self, device: DeviceId, side: Side, secret: &Secret) -> Result<Sealed> {
        self.seal(place(&text(device.uuid()), side), secret.as_bytes()).map(Sealed)
    }

    /// Opens one secret of a device.
    pub fn open_secret(&self, device: DeviceId, side: Side, sealed: &Sealed) -> Result<seal::Secret> {
        self.open(place(&text(device.uuid()), side), &sealed.0)
    }
}

const fn place(row: &str, side: Side) -> Place<'_> {
    let column = match side {
        Side::Client => "client_secret",
        Side::Server => "server_secret",
    };
    Place { table: "devices", column, row }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// OES3
    #[test]
    fn a_secret_opens_for_its_device_and_its_side_only() {
        let keys = Keys::new([(1, [7; 32])]).unwrap();
        let [one, two] = [1, 2].map(|n| DeviceId::new(Uuid::from_u128(n)));
        let sealed = keys.seal_secret(one, Side::Client, &Secret::parse("swordfish").unwrap()).unwrap();
        assert_eq!(keys.open_secret(one, Side::Client, &sealed).unwrap().expose(), b"swordfish");
        assert!(keys.open_secret(two, Side::Client, &sealed).is_err());
        assert!(keys.open_secret(one, Side::Server, &sealed).is_err());
    }
}
