//! A message in WBXML (WAP Binary XML 1.3, with the tokens of OMA SyncML RepPro 1.2).
mod cursor;
mod head;
mod reader;
mod writer;

pub(crate) use head::{Head, Identifier};
pub(crate) use reader::Reader;
pub(crate) use writer::{Attribute, SWITCH, Writer};

/// The global tokens.
mod token {
    pub(super) const SWITCH_PAGE: u8 = 0x00;
    pub(super) const END: u8 = 0x01;
    pub(super) const ENTITY: u8 = 0x02;
    pub(super) const STR_I: u8 = 0x03;
    pub(super) const LITERAL: u8 = 0x04;
    pub(super) const EXT_I_0: u8 = 0x40;
    pub(super) const EXT_I_2: u8 = 0x42;
    pub(super) const PI: u8 = 0x43;
    pub(super) const EXT_T_0: u8 = 0x80;
    pub(super) const EXT_T_2: u8 = 0x82;
    pub(super) const STR_T: u8 = 0x83;
    pub(super) const EXT_0: u8 = 0xC0;
    pub(super) const EXT_2: u8 = 0xC2;
    pub(super) const OPAQUE: u8 = 0xC3;

    /// The bits of a tag: its number, whether it has content, whether it has attributes.
    pub(super) const NUMBER: u8 = 0x3F;
    pub(super) const CONTENT: u8 = 0x40;
    pub(super) const ATTRIBUTES: u8 = 0x80;
}
