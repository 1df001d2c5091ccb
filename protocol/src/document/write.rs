//! Writes a document.
use super::{Content, Document, Element, EncodeError};
use crate::encoding::{Encoding, Push as _, Tag, Version};
use crate::{tnds, wbxml, xml};

impl Document {
    /// Writes the document without layout. XML has no octets: they become base64, and a `Format` that says `bin` beside them says `b64`.
    pub fn encode(&self, encoding: Encoding) -> Result<Vec<u8>, EncodeError> {
        match encoding {
            Encoding::Wbxml => self.wbxml(),
            Encoding::Xml => self.xml(None),
        }
    }

    /// Writes the document as XML for people: each element on a line of its own.
    pub fn pretty(&self) -> Result<String, EncodeError> {
        let bytes = self.xml(Some(0))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn version(&self) -> Version {
        Version::of(self.root.text(&["SyncHdr", "VerDTD"]).unwrap_or_default().trim())
    }

    fn xml(&self, indent: Option<usize>) -> Result<Vec<u8>, EncodeError> {
        let mut writer = xml::Writer::document(Vec::new(), self.version());
        push_xml(&mut writer, &self.root, indent, false)?;
        if indent.is_some() {
            writer.line(0);
        }
        Ok(writer.into_bytes())
    }

    fn wbxml(&self) -> Result<Vec<u8>, EncodeError> {
        let is_tree = self.root.name == Tag::MgmtTree.name();
        let usual = if is_tree { tnds::PUBLIC_ID } else { self.version().public_id() };
        let public_id = self.public_id.unwrap_or(usual);
        let mut names = Vec::new();
        self.root.collect_names(&mut names);
        let mut writer = wbxml::Writer::with_names(Vec::new(), public_id, &names);
        push_wbxml(&mut writer, &self.root)?;
        Ok(writer.into_bytes())
    }
}

impl Element {
    /// Appends the names that have no token, each once.
    fn collect_names<'a>(&'a self, names: &mut Vec<&'a str>) {
        let name = self.name.as_str();
        if Tag::from_name(name.as_bytes()) == Tag::Other && token(name).is_none() && !names.contains(&name) {
            names.push(name);
        }
        if let Content::Children(children) = &self.content {
            children.iter().for_each(|child| child.collect_names(names));
        }
    }

    /// Whether it is an item whose data is octets.
    fn has_octets(&self) -> bool {
        let is_octets = |child: &Self| child.name == Tag::Data.name() && matches!(child.content, Content::Octets(_));
        matches!(&self.content, Content::Children(children) if self.name == Tag::Item.name() && children.iter().any(is_octets))
    }
}

/// `in_octets`: inside an item whose data is octets.
fn push_xml(writer: &mut xml::Writer, element: &Element, indent: Option<usize>, in_octets: bool) -> Result<(), EncodeError> {
    let Element { name, attributes, content } = element;
    // A prefix is part of the name of an attribute, and declared by another one.
    let is_attribute =
        |name: &str| name.split_once(':').map_or_else(|| is_name(name), |(prefix, name)| is_name(prefix) && is_name(name));
    if let Some(odd) = Some(name)
        .filter(|name| !is_name(name))
        .or_else(|| attributes.iter().map(|(name, _)| name).find(|name| !is_attribute(name)))
    {
        return Err(EncodeError::Name(odd.clone()));
    }
    if let Some(depth) = indent {
        writer.line(depth);
    }
    writer.open_named(name, attributes);
    match content {
        Content::Children(children) => {
            let inside = indent.map(|depth| depth.saturating_add(1));
            for child in children {
                push_xml(writer, child, inside, in_octets || element.has_octets())?;
            }
            if let Some(depth) = indent {
                writer.line(depth);
            }
        }
        Content::Empty => {}
        Content::Octets(octets) => writer.base64(octets),
        Content::Text(text) if in_octets && name == Tag::Format.name() && text.trim() == "bin" => writer.escaped("b64"),
        Content::Text(text) => writer.escaped(text),
    }
    writer.close_named(name);
    Ok(())
}

fn push_wbxml(writer: &mut wbxml::Writer, element: &Element) -> Result<(), EncodeError> {
    let Element { name, content, .. } = element;
    if name.is_empty() || name.bytes().any(|byte| byte == 0) {
        return Err(EncodeError::Name(name.clone()));
    }
    let has_content = *content != Content::Empty;
    match (Tag::from_name(name.as_bytes()), token(name)) {
        (Tag::Other, Some(token)) => writer.open_token(token, has_content),
        (Tag::Other, None) => writer.open_name(name, has_content),
        (tag, _) if has_content => writer.open(tag),
        (tag, _) => writer.empty(tag),
    }
    match content {
        Content::Children(children) => children.iter().try_for_each(|child| push_wbxml(writer, child))?,
        Content::Empty => return Ok(()),
        Content::Octets(octets) => writer.octets(octets),
        Content::Text(text) => writer.string(text),
    }
    writer.close(Tag::from_name(name.as_bytes()));
    Ok(())
}

/// The page and the token of an element that is called by them.
fn token(name: &str) -> Option<(u8, u8)> {
    let (page, token) = name.strip_prefix("token-")?.split_once('-')?;
    let token = u8::from_str_radix(token, 16).ok().filter(|token| (5..0x40).contains(token))?;
    Some((page.parse().ok()?, token))
}

/// Whether XML can have an element of this name; what it allows beyond ASCII is not asked in detail.
fn is_name(name: &str) -> bool {
    let starts = |first: char| first.is_alphabetic() || first == '_';
    name.starts_with(starts) && name.chars().all(|one| starts(one) || one.is_alphanumeric() || matches!(one, '-' | '.'))
}
