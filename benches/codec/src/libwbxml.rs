//! The parser of libwbxml: bytes to its tree of elements.
use std::ffi::{c_int, c_uchar, c_void};
use std::ptr::null_mut;

/// `WB_ULONG`.
type Length = u32;

#[link(name = "wbxml2")]
unsafe extern "C" {
    fn wbxml_tree_from_wbxml(
        bytes: *mut c_uchar,
        length: Length,
        language: c_int,
        charset: c_int,
        tree: *mut *mut c_void,
    ) -> c_int;
    fn wbxml_tree_destroy(tree: *mut c_void);
}

/// Reads the document and drops the tree; whether it was one.
pub(crate) fn read(body: &[u8]) -> bool {
    let Ok(length) = Length::try_from(body.len()) else { return false };
    let mut tree = null_mut();
    // SAFETY: the pointer and the length are those of a slice that outlives the call, which only reads it; `tree` is a place for a pointer.
    let error = unsafe { wbxml_tree_from_wbxml(body.as_ptr().cast_mut(), length, 0, 0, &raw mut tree) };
    if tree.is_null() {
        return false;
    }
    // SAFETY: the tree was made by the call above and is used no more.
    unsafe { wbxml_tree_destroy(tree) };
    error == 0
}
