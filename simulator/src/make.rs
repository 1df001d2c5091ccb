//! Clients of the field, each with what it does in its own way.
use dmwsi_objects::NodeUri;
use dmwsi_protocol::device::{AtomicQuirk, Quirks, ReportQuirk};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::version::Version;

use crate::behaviour::Behaviour;
use crate::profile::DeviceProfile;

/// Whose client a device has.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Make {
    /// The engine of Motorola's and other Android phones.
    Android,
    /// Clients on Intel's libdmclient.
    Libdmclient,
    /// Nokia's Symbian phones.
    Nokia,
    /// Samsung's TSDM.
    Samsung,
    /// Windows 10 and 11.
    Windows,
    /// Windows Mobile 6.
    WindowsMobile,
}

impl Make {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Android, Self::Libdmclient, Self::Nokia, Self::Samsung, Self::Windows, Self::WindowsMobile];

    /// The word by which it is chosen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Android => "android",
            Self::Libdmclient => "libdmclient",
            Self::Nokia => "nokia",
            Self::Samsung => "samsung",
            Self::Windows => "windows",
            Self::WindowsMobile => "windows-mobile",
        }
    }

    /// Its encoding: libdmclient can do both.
    #[must_use]
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::Android | Self::Nokia => Encoding::Wbxml,
            Self::Libdmclient | Self::Samsung | Self::Windows | Self::WindowsMobile => Encoding::Xml,
        }
    }

    /// A device that behaves so, but for what such a client does otherwise.
    #[must_use]
    pub fn of(self, behaviour: Behaviour) -> Behaviour {
        let quirks = behaviour.quirks;
        let root = |text: &str| NodeUri::parse(text).unwrap_or_else(|_never| behaviour.fumo_root.clone());
        match self {
            Self::Android => Behaviour {
                max_message: 122_880,
                quirks: Quirks { named_public_id: true, closes_connections: true, encoded_addresses: true, ..quirks },
                ..behaviour
            },
            Self::Libdmclient => Behaviour {
                max_message: 16_384,
                quirks: Quirks {
                    atomic: AtomicQuirk::Silent,
                    exec_report: ReportQuirk::BeforeStatus,
                    fragile: true,
                    interior_dev_info: true,
                    no_copy: true,
                    few_properties: true,
                    no_empty_data: true,
                    no_emptying: true,
                    no_list: true,
                    no_local_name: true,
                    no_protocol_alerts: true,
                    nul_after_names: true,
                    opaque_data: true,
                    plain_text_alerts: true,
                    reversed_dev_info: true,
                    sync_media_types: true,
                    takes_pieces_for_whole: true,
                    zero_before_proof: true,
                    ..quirks
                },
                ..behaviour
            },
            Self::Nokia => Behaviour { quirks: Quirks { no_tnds: true, plain_text_alerts: true, ..quirks }, ..behaviour },
            Self::Samsung => Behaviour {
                alert_from_exec_node: true,
                fumo_root: root("./FUMO"),
                user_agent: Some("Samsung SM-G960F SyncML_DM Client".to_owned()),
                wants_descriptor: true,
                quirks: Quirks { no_list: true, ..quirks },
                ..behaviour
            },
            Self::Windows => Behaviour {
                omit_correlator: true,
                omit_task_correlator: true,
                query: Some("mode=Maintenance&Platform=WoA".to_owned()),
                user_agent: Some("MSFT OMA DM Client/1.2.0.1".to_owned()),
                quirks: Quirks {
                    bare_dev_info: true,
                    decimal_session_id: true,
                    encoded_names: true,
                    few_properties: true,
                    no_acl: true,
                    no_copy: true,
                    no_list: true,
                    no_target_refs: true,
                    no_tnds: true,
                    windows_elements: true,
                    ..quirks
                },
                ..behaviour
            },
            Self::WindowsMobile => Behaviour {
                fumo_root: root("./FwUpdate"),
                version: Version::V1_1,
                quirks: Quirks { no_copy: true, no_list: true, prefixed_alert_types: true, ..quirks },
                ..behaviour
            },
        }
    }

    /// The device, made by whom such a client is found with. Clients on libdmclient are built by anybody.
    #[must_use]
    pub fn device(self, profile: DeviceProfile) -> DeviceProfile {
        let made = |manufacturer: &str, model: &str, dm_version: Option<&str>| DeviceProfile {
            manufacturer: manufacturer.to_owned(),
            model: model.to_owned(),
            dm_version: dm_version.map(str::to_owned),
            ..profile.clone()
        };
        match self {
            Self::Android => made("motorola", "XT1254", None),
            Self::Libdmclient => profile,
            Self::Nokia => made("NOKIA", "E71", None),
            Self::Samsung => made("samsung", "SM-G960F", None),
            Self::Windows => made("Microsoft Corporation", "Surface Pro 7", Some("1.3")),
            Self::WindowsMobile => made("Microsoft Corporation", "Windows Mobile 6", Some("1.1.2")),
        }
    }
}

impl std::str::FromStr for Make {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|make| make.name() == text).ok_or_else(|| format!("it is one of: {}", names()))
    }
}
