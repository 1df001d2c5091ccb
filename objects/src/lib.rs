//! The vocabulary of a managed device: node addresses, values, commands and their outcomes, alerts, and the standard management objects.
//!
//! Nothing here knows how a message looks on the wire or what a job is.
pub mod alert;
pub mod command;
pub mod ddf;
pub mod devdetail;
pub mod devinfo;
pub mod dmacc;
pub mod fumo;
pub mod node;
pub mod prompt;
pub mod properties;
pub mod status;
pub mod value;

pub use alert::{AlertType, GenericAlert, Mark};
pub use command::{Answer, Command, Reading};
pub use node::{NodeUri, NodeUriError};
pub use prompt::{Prompt, PromptKind};
pub use status::StatusCode;
pub use value::{Format, Value};
