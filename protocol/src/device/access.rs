//! What may be done with a node, and by whom.
use std::ops::BitOr;

use serde::{Deserialize, Serialize};

/// The commands that a node's description allows at all (`AccessType`; OMA DM TND 1.2, 9.5).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Access(u8);

impl Access {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Nodes may be added below it.
    pub const ADD: Self = Self(1);
    /// It may be removed.
    pub const DELETE: Self = Self(2);
    /// It may be started.
    pub const EXEC: Self = Self(4);
    /// It may be read.
    pub const GET: Self = Self(8);
    /// It may be changed.
    pub const REPLACE: Self = Self(16);

    /// Whether all of `other` is allowed.
    #[must_use]
    pub const fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ADD => "Add",
            Self::DELETE => "Delete",
            Self::EXEC => "Exec",
            Self::REPLACE => "Replace",
            _ => "Get",
        }
    }
}

impl BitOr for Access {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The access control list of a node, such as `Add=srvA&Get=*` (OMA DM TND 1.2, 7.7.1). An empty one says: as the node above.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Acl(String);

impl Acl {
    /// The list that leaves the question to the node above.
    pub(super) const EMPTY: Self = Self(String::new());

    /// The list of an interior node that a server has added where it may do no more than that. The standard names Add, Delete and Replace; since
    /// nothing above the list counts any more, the server could not read its own node without Get.
    #[must_use]
    pub(super) fn of_creator(server: &str) -> Self {
        Self(format!("Add={server}&Delete={server}&Get={server}&Replace={server}"))
    }

    /// Reads a list; none when it is not well formed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.is_empty()
            || text.split('&').all(|entry| {
                entry.split_once('=').is_some_and(|(command, ids)| {
                    matches!(command, "Add" | "Delete" | "Exec" | "Get" | "Replace")
                        && ids.split('+').all(|id| !id.is_empty() && !id.contains(char::is_whitespace))
                })
            });
        well_formed.then(|| Self(text.to_owned()))
    }

    /// A list by which everybody may do everything.
    #[must_use]
    pub fn open() -> Self {
        Self("Add=*&Delete=*&Exec=*&Get=*&Replace=*".to_owned())
    }

    /// The text of the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it leaves the question to the node above.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the server of this identifier may use the command.
    #[must_use]
    pub fn permits(&self, server: &str, command: Access) -> bool {
        self.0
            .split('&')
            .filter_map(|entry| entry.split_once('='))
            .any(|(name, ids)| name == command.name() && ids.split('+').any(|id| id == "*" || id == server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_permits_whom_it_names() {
        let acl = Acl::parse("Add=srvA&Replace=srvA+srvB&Get=*").unwrap();
        assert!(acl.permits("srvA", Access::ADD) && acl.permits("srvB", Access::REPLACE) && acl.permits("other", Access::GET));
        assert!(!acl.permits("srvB", Access::ADD) && !acl.permits("srvA", Access::DELETE));
        assert_eq!(Acl::parse("Add=&Get=*"), None);
        assert_eq!(Acl::parse("Frob=*"), None);
        assert!(Acl::parse("").is_some_and(|empty| empty.is_empty()));
    }
}
