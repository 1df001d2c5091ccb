//! Pieces of values that are too large for one message (OMA DM Protocol 1.2, 6.3).
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::{Command, Format};

use super::account::Limits;
use super::manners::Manners;
use super::on_wire::on_wire;
use crate::encoding::Encoding;
use crate::message::{Data, Element};

/// The next piece of the value of an Add or a Replace, from `begun` on, as large as `room` bytes allow; and where it ends, when more follows. None
/// where so little fits that there would be more than [`Limits::MAX_PIECES`] of them, or the command has no value that could be cut.
pub(super) fn piece(
    command: &Command,
    begun: usize,
    id: u32,
    room: usize,
    encoding: Encoding,
) -> Option<(Element, Option<usize>)> {
    let (Command::Add { value, .. } | Command::Replace { value, .. }) = command else { return None };
    let octets = if value.format == Format::Bin { BASE64_STANDARD.decode(&value.data).ok() } else { None };
    let all = octets.as_deref().unwrap_or(value.data.as_bytes());
    // Base64 is cut where a device may decode each piece by itself.
    let group = match value.format {
        Format::Bin => octets.as_ref().map(|_octets| 3),
        Format::B64 => Some(4),
        _ => None,
    };
    let mut length = all.len().checked_sub(begun)?.min(room);
    while length > 0 {
        let end = cut(all, begun, length, group)?;
        if end < all.len() && end.checked_sub(begun)? < all.len() / Limits::MAX_PIECES {
            return None;
        }
        let element = element(command, id, (all, octets.is_some()), begun, end, encoding)?;
        if encoding.size_of(&element) <= room {
            return Some((element, (end < all.len()).then_some(end)));
        }
        // Text may grow by what stands for special characters, and octets do by base64.
        length = (end.checked_sub(begun)?.min(length) * 3) / 4;
    }
    None
}

/// How large the value of an Add or a Replace is as it goes over the wire, in bytes; 0 where there is none.
pub(super) fn value_size(command: &Command, encoding: Encoding) -> u64 {
    let (Command::Add { value, .. } | Command::Replace { value, .. }) = command else { return 0 };
    let is_octets = value.format == Format::Bin && encoding == Encoding::Wbxml;
    let size = if is_octets { value.data.len() / 4 * 3 } else { value.data.len() };
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// Where a piece of about that length ends: between groups of so many, or else between characters.
fn cut(all: &[u8], begun: usize, length: usize, group: Option<usize>) -> Option<usize> {
    let end = begun.checked_add(length)?;
    if end >= all.len() {
        return Some(all.len());
    }
    if let Some(group) = group {
        let end = end - end.checked_rem(group)?;
        return (end > begun).then_some(end);
    }
    let is_start = |at: &usize| all.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (begun.checked_add(1)?..=end).rev().find(is_start)
}

fn element(
    command: &Command,
    id: u32,
    (all, is_octets): (&[u8], bool),
    begun: usize,
    end: usize,
    encoding: Encoding,
) -> Option<Element> {
    let Element::Command(mut sent) = on_wire(command, id, &Manners::default()) else { return None };
    let item = sent.items.first_mut()?;
    let part = all.get(begun..end)?;
    item.data = Some(if is_octets { Data::Octets(part.to_vec()) } else { Data::Text(String::from_utf8(part.to_vec()).ok()?) });
    item.more = end < all.len();
    if begun == 0 {
        // What is counted is what goes over the wire: in XML, octets are base64.
        let size = if is_octets && encoding == Encoding::Xml { all.len().div_ceil(3).checked_mul(4)? } else { all.len() };
        item.meta.size = u64::try_from(size).ok();
    }
    Some(Element::Command(sent))
}
