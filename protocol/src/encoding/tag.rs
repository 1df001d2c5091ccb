//! The elements of SyncML 1.2, MetInf 1.2 and the device description 1.2, with their names and tokens (OMA SyncML RepPro 1.2, OMA SyncML MetInf
//! 1.2, OMA DM TND 1.2).

/// The code page of SyncML.
pub(crate) const SYNCML: u8 = 0;

/// The code page of MetInf.
pub(crate) const METINF: u8 = 1;

/// The code page of device descriptions and of serialised trees.
pub(crate) const TREE: u8 = 2;

/// Writes the vocabulary once: name in Rust, name on the wire, code page, token; then the elements that the tree's page has under a name of
/// another page, with their tokens there.
macro_rules! tags {
    ($($tag:ident $name:literal $page:literal $token:literal,)* ; also $($shared:ident $tree:literal,)*) => {
        /// An element of the vocabulary, or another.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Tag {
            $($tag,)*
            /// One that is not in the vocabulary.
            Other,
        }

        impl Tag {
            /// The element of this local name. Bytes make the compiler compare lengths and single letters, not one name after the other.
            pub(crate) const fn from_name(name: &[u8]) -> Self {
                match name {
                    $($name => Self::$tag,)*
                    _ => Self::Other,
                }
            }

            /// The element of this token on this code page.
            pub(crate) const fn from_token(page: u8, token: u8) -> Self {
                match (page, token) {
                    $(($page, $token) => Self::$tag,)*
                    $((TREE, $tree) => Self::$shared,)*
                    _ => Self::Other,
                }
            }

            /// The local name; empty for [`Tag::Other`].
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$tag => ascii($name),)*
                    Self::Other => "",
                }
            }

            /// The code page and the token; none for [`Tag::Other`].
            pub(crate) const fn token(self) -> Option<(u8, u8)> {
                match self {
                    $(Self::$tag => Some(($page, $token)),)*
                    Self::Other => None,
                }
            }

            /// The code page and the token inside a tree, where names of SyncML and MetInf may mean elements of the tree.
            pub(crate) const fn token_in_tree(self) -> Option<(u8, u8)> {
                match self {
                    $(Self::$shared => Some((TREE, $tree)),)*
                    other => other.token(),
                }
            }

            /// Whether SyncML has it.
            pub(crate) const fn is_syncml(self) -> bool {
                matches!(self.token(), Some((SYNCML, _)))
            }
        }

        #[cfg(test)]
        const ALL: &[Tag] = &[$(Tag::$tag,)*];
    };
}

/// A name of the vocabulary as text.
const fn ascii(name: &'static [u8]) -> &'static str {
    match std::str::from_utf8(name) {
        Ok(name) => name,
        Err(_) => "",
    }
}

tags! {
    Add b"Add" 0 0x05,
    Alert b"Alert" 0 0x06,
    Archive b"Archive" 0 0x07,
    Atomic b"Atomic" 0 0x08,
    Chal b"Chal" 0 0x09,
    Cmd b"Cmd" 0 0x0A,
    CmdId b"CmdID" 0 0x0B,
    CmdRef b"CmdRef" 0 0x0C,
    Copy b"Copy" 0 0x0D,
    Cred b"Cred" 0 0x0E,
    Data b"Data" 0 0x0F,
    Delete b"Delete" 0 0x10,
    Exec b"Exec" 0 0x11,
    Final b"Final" 0 0x12,
    Get b"Get" 0 0x13,
    Item b"Item" 0 0x14,
    Lang b"Lang" 0 0x15,
    LocName b"LocName" 0 0x16,
    LocUri b"LocURI" 0 0x17,
    Map b"Map" 0 0x18,
    MapItem b"MapItem" 0 0x19,
    Meta b"Meta" 0 0x1A,
    MsgId b"MsgID" 0 0x1B,
    MsgRef b"MsgRef" 0 0x1C,
    NoResp b"NoResp" 0 0x1D,
    NoResults b"NoResults" 0 0x1E,
    Put b"Put" 0 0x1F,
    Replace b"Replace" 0 0x20,
    RespUri b"RespURI" 0 0x21,
    Results b"Results" 0 0x22,
    Search b"Search" 0 0x23,
    Sequence b"Sequence" 0 0x24,
    SessionId b"SessionID" 0 0x25,
    SftDel b"SftDel" 0 0x26,
    Source b"Source" 0 0x27,
    SourceRef b"SourceRef" 0 0x28,
    Status b"Status" 0 0x29,
    Sync b"Sync" 0 0x2A,
    SyncBody b"SyncBody" 0 0x2B,
    SyncHdr b"SyncHdr" 0 0x2C,
    SyncMl b"SyncML" 0 0x2D,
    Target b"Target" 0 0x2E,
    TargetRef b"TargetRef" 0 0x2F,
    VerDtd b"VerDTD" 0 0x31,
    VerProto b"VerProto" 0 0x32,
    NumberOfChanges b"NumberOfChanges" 0 0x33,
    MoreData b"MoreData" 0 0x34,
    Field b"Field" 0 0x35,
    Filter b"Filter" 0 0x36,
    Record b"Record" 0 0x37,
    FilterType b"FilterType" 0 0x38,
    SourceParent b"SourceParent" 0 0x39,
    TargetParent b"TargetParent" 0 0x3A,
    Move b"Move" 0 0x3B,
    Correlator b"Correlator" 0 0x3C,
    Anchor b"Anchor" 1 0x05,
    Emi b"EMI" 1 0x06,
    Format b"Format" 1 0x07,
    FreeId b"FreeID" 1 0x08,
    FreeMem b"FreeMem" 1 0x09,
    Last b"Last" 1 0x0A,
    Mark b"Mark" 1 0x0B,
    MaxMsgSize b"MaxMsgSize" 1 0x0C,
    Mem b"Mem" 1 0x0D,
    MetInf b"MetInf" 1 0x0E,
    Next b"Next" 1 0x0F,
    NextNonce b"NextNonce" 1 0x10,
    SharedMem b"SharedMem" 1 0x11,
    Size b"Size" 1 0x12,
    Type b"Type" 1 0x13,
    Version b"Version" 1 0x14,
    MaxObjSize b"MaxObjSize" 1 0x15,
    FieldLevel b"FieldLevel" 1 0x16,
    AccessType b"AccessType" 2 0x05,
    Acl b"ACL" 2 0x06,
    B64 b"b64" 2 0x08,
    Bin b"bin" 2 0x09,
    Bool b"bool" 2 0x0A,
    Chr b"chr" 2 0x0B,
    CaseSense b"CaseSense" 2 0x0C,
    Cis b"CIS" 2 0x0D,
    Cs b"CS" 2 0x0F,
    Date b"date" 2 0x10,
    DdfName b"DDFName" 2 0x11,
    DefaultValue b"DefaultValue" 2 0x12,
    Description b"Description" 2 0x14,
    DfFormat b"DFFormat" 2 0x15,
    DfProperties b"DFProperties" 2 0x16,
    DfTitle b"DFTitle" 2 0x17,
    DfType b"DFType" 2 0x18,
    Dynamic b"Dynamic" 2 0x19,
    Float b"float" 2 0x1B,
    Int b"int" 2 0x1E,
    Man b"Man" 2 0x1F,
    MgmtTree b"MgmtTree" 2 0x20,
    Mime b"MIME" 2 0x21,
    Mod b"Mod" 2 0x22,
    Name b"Name" 2 0x23,
    Node b"Node" 2 0x24,
    NodeFormat b"node" 2 0x25,
    NodeName b"NodeName" 2 0x26,
    Null b"null" 2 0x27,
    Occurrence b"Occurrence" 2 0x28,
    One b"One" 2 0x29,
    OneOrMore b"OneOrMore" 2 0x2A,
    OneOrN b"OneOrN" 2 0x2B,
    Path b"Path" 2 0x2C,
    Permanent b"Permanent" 2 0x2D,
    RtProperties b"RTProperties" 2 0x2F,
    Scope b"Scope" 2 0x30,
    Time b"time" 2 0x32,
    Title b"Title" 2 0x33,
    TStamp b"TStamp" 2 0x34,
    Value b"Value" 2 0x36,
    VerNo b"VerNo" 2 0x38,
    Xml b"xml" 2 0x39,
    ZeroOrMore b"ZeroOrMore" 2 0x3A,
    ZeroOrN b"ZeroOrN" 2 0x3B,
    ZeroOrOne b"ZeroOrOne" 2 0x3C,
    ; also
    Add 0x07,
    Copy 0x0E,
    Delete 0x13,
    Exec 0x1A,
    Format 0x1C,
    Get 0x1D,
    Replace 0x2E,
    Size 0x31,
    Type 0x35,
    VerDtd 0x37,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_found_by_its_name_and_by_its_token() {
        for &tag in ALL {
            let (page, token) = tag.token().unwrap();
            assert_eq!((Tag::from_name(tag.name().as_bytes()), Tag::from_token(page, token)), (tag, tag));
            let (page, token) = tag.token_in_tree().unwrap();
            assert_eq!(Tag::from_token(page, token), tag);
        }
    }
}
