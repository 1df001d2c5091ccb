//! The elements of SyncML 1.2 and MetInf 1.2, with their names and tokens (OMA SyncML RepPro 1.2, 7.6; MetInf 1.2, 6).

/// Writes the vocabulary once: name in Rust, name on the wire, code page, token.
macro_rules! tags {
    ($($tag:ident $name:literal $page:literal $token:literal,)*) => {
        /// An element of the vocabulary, or another.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Tag {
            $(#[doc = $name] $tag,)*
            /// One that is not in the vocabulary.
            Other,
        }

        impl Tag {
            /// The element of this local name.
            pub(crate) fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$tag,)*
                    _ => Self::Other,
                }
            }

            /// The element of this token on this code page.
            pub(crate) const fn from_token(page: u8, token: u8) -> Self {
                match (page, token) {
                    $(($page, $token) => Self::$tag,)*
                    _ => Self::Other,
                }
            }

            /// The local name; empty for [`Tag::Other`].
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$tag => $name,)*
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
        }

        #[cfg(test)]
        const ALL: &[Tag] = &[$(Tag::$tag,)*];
    };
}

tags! {
    Add "Add" 0 0x05,
    Alert "Alert" 0 0x06,
    Archive "Archive" 0 0x07,
    Atomic "Atomic" 0 0x08,
    Chal "Chal" 0 0x09,
    Cmd "Cmd" 0 0x0A,
    CmdId "CmdID" 0 0x0B,
    CmdRef "CmdRef" 0 0x0C,
    Copy "Copy" 0 0x0D,
    Cred "Cred" 0 0x0E,
    Data "Data" 0 0x0F,
    Delete "Delete" 0 0x10,
    Exec "Exec" 0 0x11,
    Final "Final" 0 0x12,
    Get "Get" 0 0x13,
    Item "Item" 0 0x14,
    Lang "Lang" 0 0x15,
    LocName "LocName" 0 0x16,
    LocUri "LocURI" 0 0x17,
    Map "Map" 0 0x18,
    MapItem "MapItem" 0 0x19,
    Meta "Meta" 0 0x1A,
    MsgId "MsgID" 0 0x1B,
    MsgRef "MsgRef" 0 0x1C,
    NoResp "NoResp" 0 0x1D,
    NoResults "NoResults" 0 0x1E,
    Put "Put" 0 0x1F,
    Replace "Replace" 0 0x20,
    RespUri "RespURI" 0 0x21,
    Results "Results" 0 0x22,
    Search "Search" 0 0x23,
    Sequence "Sequence" 0 0x24,
    SessionId "SessionID" 0 0x25,
    SftDel "SftDel" 0 0x26,
    Source "Source" 0 0x27,
    SourceRef "SourceRef" 0 0x28,
    Status "Status" 0 0x29,
    Sync "Sync" 0 0x2A,
    SyncBody "SyncBody" 0 0x2B,
    SyncHdr "SyncHdr" 0 0x2C,
    SyncMl "SyncML" 0 0x2D,
    Target "Target" 0 0x2E,
    TargetRef "TargetRef" 0 0x2F,
    VerDtd "VerDTD" 0 0x31,
    VerProto "VerProto" 0 0x32,
    NumberOfChanges "NumberOfChanges" 0 0x33,
    MoreData "MoreData" 0 0x34,
    Field "Field" 0 0x35,
    Filter "Filter" 0 0x36,
    Record "Record" 0 0x37,
    FilterType "FilterType" 0 0x38,
    SourceParent "SourceParent" 0 0x39,
    TargetParent "TargetParent" 0 0x3A,
    Move "Move" 0 0x3B,
    Correlator "Correlator" 0 0x3C,
    Anchor "Anchor" 1 0x05,
    Emi "EMI" 1 0x06,
    Format "Format" 1 0x07,
    FreeId "FreeID" 1 0x08,
    FreeMem "FreeMem" 1 0x09,
    Last "Last" 1 0x0A,
    Mark "Mark" 1 0x0B,
    MaxMsgSize "MaxMsgSize" 1 0x0C,
    Mem "Mem" 1 0x0D,
    MetInf "MetInf" 1 0x0E,
    Next "Next" 1 0x0F,
    NextNonce "NextNonce" 1 0x10,
    SharedMem "SharedMem" 1 0x11,
    Size "Size" 1 0x12,
    Type "Type" 1 0x13,
    Version "Version" 1 0x14,
    MaxObjSize "MaxObjSize" 1 0x15,
    FieldLevel "FieldLevel" 1 0x16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_found_by_its_name_and_by_its_token() {
        for &tag in ALL {
            let (page, token) = tag.token().unwrap();
            assert_eq!((Tag::from_name(tag.name()), Tag::from_token(page, token)), (tag, tag));
        }
    }
}
