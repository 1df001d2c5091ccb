//! Something that a server can start on a device and that takes its time.
use dmwsi_objects::{AlertType, GenericAlert, Mark, NodeUri, StatusCode, Value};
use dmwsi_protocol::device::{Access, Tree};
use serde::{Deserialize, Serialize};

/// The node that starts it.
const NODE: &str = "./Vendor/Test/Task";

/// The type of its report.
const TYPE: &str = "com.example.dmwsi.task";

/// A task: the argument `now` has it done at once (200) and `fail` has it fail; after that, and whatever else is asked, the device reports in
/// its next session.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Task {
    reports: Vec<GenericAlert>,
}

impl Task {
    /// A device's task; its node is put into the tree.
    pub(crate) fn new(tree: &mut Tree) -> Self {
        if let Ok(node) = NodeUri::parse(NODE) {
            tree.put(&node, Value::text(""), Access::GET | Access::EXEC);
        }
        Self::default()
    }

    /// Starts it, where that is the node.
    pub(crate) fn exec(&mut self, node: &NodeUri, correlator: Option<String>, argument: &str) -> Option<StatusCode> {
        if node.as_str() != NODE {
            return None;
        }
        if argument == "now" {
            return Some(StatusCode::OK);
        }
        let (mark, data) = if argument == "fail" { (Mark::Critical, "failed") } else { (Mark::Informational, "done") };
        self.reports.push(GenericAlert {
            alert_type: AlertType::lenient(TYPE),
            correlator,
            source: Some(node.clone()),
            target: None,
            mark,
            value: Value::text(data),
        });
        Some(StatusCode::ACCEPTED)
    }

    /// The reports that are due.
    pub(crate) fn reports(&mut self) -> Vec<GenericAlert> {
        std::mem::take(&mut self.reports)
    }
}
