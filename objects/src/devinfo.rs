//! DevInfo, `urn:oma:mo:oma-dm-devinfo:1.0`: what a device tells of itself when a session begins (OMA DM StdObj 1.2, 5.3.3).

/// The identifier of the object.
pub const URN: &str = "urn:oma:mo:oma-dm-devinfo:1.0";
/// Where it stands.
pub const ROOT: &str = "./DevInfo";
/// The device's own identity, such as `IMEI:490154203237518`.
pub const DEV_ID: &str = "./DevInfo/DevId";
/// The manufacturer.
pub const MAN: &str = "./DevInfo/Man";
/// The model.
pub const MOD: &str = "./DevInfo/Mod";
/// The version of the DM client.
pub const DM_V: &str = "./DevInfo/DmV";
/// The language, by RFC 1766.
pub const LANG: &str = "./DevInfo/Lang";
