//! DevDetail, `urn:oma:mo:oma-dm-devdetail:1.0`: what a device tells of itself when asked (OMA DM StdObj 1.2, 5.3.4).

/// The identifier of the object.
pub const URN: &str = "urn:oma:mo:oma-dm-devdetail:1.0";
/// Where it stands.
pub const ROOT: &str = "./DevDetail";
/// The kind of device.
pub const DEV_TYP: &str = "./DevDetail/DevTyp";
/// Who made the original.
pub const OEM: &str = "./DevDetail/OEM";
/// The firmware version.
pub const FW_V: &str = "./DevDetail/FwV";
/// The software version.
pub const SW_V: &str = "./DevDetail/SwV";
/// The hardware version.
pub const HW_V: &str = "./DevDetail/HwV";
/// Whether objects larger than a message may be sent in pieces: `true` or `false`.
pub const LRG_OBJ: &str = "./DevDetail/LrgObj";
/// The deepest address, in segments; 0 means no limit.
pub const MAX_DEPTH: &str = "./DevDetail/URI/MaxDepth";
/// The longest address, in bytes; 0 means no limit.
pub const MAX_TOT_LEN: &str = "./DevDetail/URI/MaxTotLen";
/// The longest name, in bytes; 0 means no limit.
pub const MAX_SEG_LEN: &str = "./DevDetail/URI/MaxSegLen";
