//! A message in XML (OMA SyncML RepPro 1.2).
pub(crate) mod reader;
mod writer;

pub(crate) use reader::{Reader, place, text};
pub(crate) use writer::Writer;
