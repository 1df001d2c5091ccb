//! The nodes of a device.
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{Command, Format, GenericAlert, NodeUri, Prompt, Reading, StatusCode, Value, devdetail, devinfo, dmacc};
use dmwsi_protocol::device::{Access, Account, Nodes, Outcome, Tree};
use serde::{Deserialize, Serialize};

use crate::behaviour::Behaviour;
use crate::fumo::{Fumo, Step};
use crate::profile::DeviceProfile;
use crate::task::Task;
use crate::user::User;

/// Where the server gives the device another secret.
const CLIENT_SECRET: &str = "./DMAcc/1/AppAuth/C/AAuthSecret";

/// A tree with an update package in it that can be started.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Handset {
    pub(crate) tree: Tree,
    pub(crate) fumo: Fumo,
    #[serde(default)]
    pub(crate) task: Task,
    /// What the user was shown.
    #[serde(default)]
    pub(crate) shown: Vec<Prompt>,
    /// Who looks at it.
    #[serde(skip)]
    pub(crate) user: User,
    /// What every Exec is answered instead of being carried out.
    #[serde(skip)]
    pub(crate) refusal: Option<StatusCode>,
    /// Its reports of tasks have no correlator.
    #[serde(skip)]
    pub(crate) omits_correlator: bool,
}

impl Handset {
    /// A device as delivered.
    pub(crate) fn new(profile: &DeviceProfile, behaviour: &Behaviour, account: &Account) -> Self {
        let mut tree = Tree::default();
        let mut put = |path: &str, value: Value, access: Access| {
            if let Ok(node) = NodeUri::parse(path) {
                tree.put(&node, value, access);
            }
        };
        let interior = |urn: &str| Value { media_type: Some(urn.to_owned()), ..Value::node(&[]) };
        put(devinfo::ROOT, interior(devinfo::URN), Access::GET);
        put(devdetail::ROOT, interior(devdetail::URN), Access::GET);
        for (path, text) in [
            (devinfo::DEV_ID, profile.device.as_str()),
            (devinfo::MAN, &profile.manufacturer),
            (devinfo::MOD, &profile.model),
            (devinfo::DM_V, profile.dm_version.as_deref().unwrap_or_else(|| behaviour.version.dtd())),
            (devinfo::LANG, &profile.language),
            (devdetail::DEV_TYP, "simulated"),
            (devdetail::OEM, &profile.manufacturer),
            (devdetail::FW_V, &profile.firmware),
            (devdetail::SW_V, &profile.software),
            (devdetail::HW_V, &profile.hardware),
            (devdetail::MAX_DEPTH, "0"),
            (devdetail::MAX_TOT_LEN, "0"),
            (devdetail::MAX_SEG_LEN, "0"),
        ] {
            put(path, Value::text(text), Access::GET);
        }
        put(devdetail::LRG_OBJ, Value { format: Format::Bool, ..Value::text("true") }, Access::GET);
        put("./DMAcc/1", interior(dmacc::URN), Access::GET);
        let server_auth = account.server_auth.map_or("TRANSPORT", auth_type);
        for (name, text) in [
            ("AppID", "w7"),
            ("ServerID", &account.server_id),
            ("Name", &account.server_id),
            ("AAuthPref", auth_type(account.client_auth)),
            ("AppAddr/1/Addr", &account.server_url),
            ("AppAddr/1/AddrType", "URI"),
            ("AppAuth/C/AAuthLevel", "CLCRED"),
            ("AppAuth/C/AAuthType", auth_type(account.client_auth)),
            ("AppAuth/C/AAuthName", &account.client_name),
            ("AppAuth/S/AAuthLevel", "SRVCRED"),
            ("AppAuth/S/AAuthType", server_auth),
            ("AppAuth/S/AAuthName", &account.server_name),
        ] {
            put(&format!("./DMAcc/1/{name}"), Value::text(text), Access::GET);
        }
        // Secrets and nonces stand in the account alone; here they are only nodes that nobody may read.
        for (name, format) in [("AAuthSecret", Format::Chr), ("AAuthData", Format::Bin)] {
            for side in ["C", "S"] {
                put(&format!("./DMAcc/1/AppAuth/{side}/{name}"), Value { format, ..Value::default() }, Access::NONE);
            }
        }
        put(CLIENT_SECRET, Value::text(""), Access::REPLACE);
        let change = Access::GET | Access::REPLACE;
        put("./Vendor/Test", Value::node(&[]), Access::GET | Access::ADD);
        put("./Vendor/Test/Text", Value::text(""), change);
        put("./Vendor/Test/Number", Value::int(0), change);
        put("./Vendor/Test/Switch", Value { format: Format::Bool, ..Value::text("false") }, change);
        put("./Vendor/Test/Octets", Value { format: Format::Bin, ..Value::default() }, change);
        let fumo = Fumo::new(behaviour.fumo_root.clone(), &mut tree);
        let task = Task::new(&mut tree);
        Self { tree, fumo, task, shown: Vec::new(), user: User::default(), refusal: None, omits_correlator: false }
    }

    /// Whether the server has given the device a secret that it does not use yet.
    pub(crate) fn has_new_secret(&self) -> bool {
        self.tree.text(CLIENT_SECRET).is_some_and(|secret| !secret.is_empty())
    }

    /// The secret that the server has given the device since this was asked last; the tree does not keep it.
    pub(crate) fn take_secret(&mut self) -> Option<String> {
        let secret = self.has_new_secret().then(|| self.tree.text(CLIENT_SECRET).map(str::to_owned))?;
        self.tree.set(CLIENT_SECRET, "");
        secret
    }

    /// Goes on with an update by one phase.
    pub(crate) fn step(&mut self, behaviour: &Behaviour) -> Step {
        self.fumo.step(&mut self.tree, behaviour)
    }
}

impl Nodes for Handset {
    fn device(&self) -> Vec<Reading> {
        self.tree.device()
    }

    fn execute(&mut self, command: &Command, server: &str) -> Outcome {
        match command {
            Command::Exec { target, correlator, value } => match self.tree.judge(target, server, Access::EXEC) {
                Ok(()) => match self.refusal {
                    Some(status) => status.into(),
                    None => {
                        let argument = value.as_ref().map_or("", |value| value.data.as_str());
                        let begun = self.task.exec(target, correlator.clone(), argument);
                        begun.unwrap_or_else(|| self.fumo.exec(&mut self.tree, target, correlator.clone())).into()
                    }
                },
                Err(code) => code.into(),
            },
            Command::Replace { target, .. } if target.question().is_none() => {
                let outcome = self.tree.execute(command, server);
                if outcome.status == StatusCode::OK {
                    self.fumo.replaced(&mut self.tree, target);
                }
                outcome
            }
            _ => self.tree.execute(command, server),
        }
    }

    fn reports(&mut self) -> Vec<GenericAlert> {
        let reports = self.task.reports().into_iter();
        reports
            .map(|report| GenericAlert { correlator: report.correlator.filter(|_| !self.omits_correlator), ..report })
            .collect()
    }

    fn prompt(&mut self, prompt: &Prompt) -> (StatusCode, Vec<String>) {
        let answer = self.user.prompted(prompt);
        if answer.0 != StatusCode::NOT_SUPPORTED {
            self.shown.push(prompt.clone());
        }
        answer
    }
}

/// The word of `AAuthType`.
const fn auth_type(kind: AuthType) -> &'static str {
    match kind {
        AuthType::Basic => "BASIC",
        AuthType::Digest => "DIGEST",
        AuthType::Hmac => "HMAC",
        AuthType::Transport => "TRANSPORT",
    }
}
