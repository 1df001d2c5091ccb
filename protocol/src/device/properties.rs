//! What is told of a node beside its value, and what a server may change of that (OMA DM TND 1.2, 7.7).
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::{Format, NodeUri, StatusCode};

use super::tree::{Node, ROOT, Tree};
use super::{Access, Acl};

/// The longest title, in bytes.
const MAX_TITLE: usize = 255;

impl Node {
    /// The answer to a question about a node of that name. What it does not have or does not know is not supported.
    pub(super) fn told(&self, name: &str, question: &str) -> Result<String, StatusCode> {
        let known = match question {
            "prop=ACL" => Some(self.acl.as_str().to_owned()),
            "prop=Format" => Some(self.value.format.as_str().to_owned()),
            "prop=Name" => Some(name.to_owned()),
            "prop=Size" => self.size().map(|size| size.to_string()),
            "prop=Title" => self.title.clone(),
            "prop=TStamp" => self.changed.clone(),
            "prop=Type" => Some(match (&self.value.media_type, self.value.format) {
                (Some(media_type), _) => media_type.clone(),
                (None, Format::Node) => String::new(),
                (None, _) => "text/plain".to_owned(),
            }),
            "prop=VerNo" => Some(self.revision.to_string()),
            _ => None,
        };
        known.ok_or(StatusCode::NOT_SUPPORTED)
    }

    /// How many bytes a leaf holds, of octets those that its base64 stands for; interior nodes have no size.
    fn size(&self) -> Option<usize> {
        let data = &self.value.data;
        match self.value.format {
            Format::Node => None,
            Format::Bin => Some(STANDARD.decode(data).map_or(data.len(), |octets| octets.len())),
            _ => Some(data.len()),
        }
    }
}

impl Tree {
    pub(super) fn replace_acl(&mut self, target: &NodeUri, text: &str, server: &str) -> Result<(), StatusCode> {
        let node = self.nodes.get(target.path()).ok_or(StatusCode::NOT_FOUND)?;
        let itself = node.value.format == Format::Node && self.permitted(target, server, Access::REPLACE);
        let parent = target.parent().is_some_and(|parent| self.permitted(&parent, server, Access::REPLACE));
        if !itself && !parent {
            return Err(StatusCode::PERMISSION_DENIED);
        }
        let acl = Acl::parse(text).ok_or(StatusCode::BAD_REQUEST)?;
        if acl.is_empty() && target.path() == ROOT {
            return Err(StatusCode::NOT_ALLOWED);
        }
        if let Some(node) = self.nodes.get_mut(target.path()) {
            node.acl = acl;
        }
        self.touch(target.path());
        Ok(())
    }

    pub(super) fn rename(&mut self, target: &NodeUri, name: &str, server: &str) -> Result<(), StatusCode> {
        if self.allowed(target, server, Access::REPLACE)?.permanent {
            return Err(StatusCode::NOT_ALLOWED);
        }
        let parent = target.parent().ok_or(StatusCode::NOT_ALLOWED)?;
        let new = parent.join(name).ok().filter(|new| new.parent().as_ref() == Some(&parent)).ok_or(StatusCode::BAD_REQUEST)?;
        if self.nodes.contains_key(new.path()) {
            return Err(StatusCode::ALREADY_EXISTS);
        }
        for (key, node) in self.take(target) {
            let rest = key.get(target.path().len()..).unwrap_or_default();
            self.nodes.insert(format!("{}{rest}", new.path()), node);
        }
        self.touch(new.path());
        self.touch(parent.path());
        Ok(())
    }

    pub(super) fn entitle(&mut self, target: &NodeUri, title: &str, server: &str) -> Result<(), StatusCode> {
        self.allowed(target, server, Access::REPLACE)?;
        if title.len() > MAX_TITLE {
            return Err(StatusCode::TOO_LARGE);
        }
        if let Some(node) = self.nodes.get_mut(target.path()) {
            node.title = Some(title.to_owned());
        }
        self.touch(target.path());
        Ok(())
    }
}
