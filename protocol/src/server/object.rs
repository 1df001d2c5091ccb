//! Objects that the device sends in pieces (OMA DM Protocol 1.2, 6.3).
use std::borrow::Cow;

use dmwsi_objects::{Format, StatusCode};
use serde::{Deserialize, Serialize};

use super::account::Limits;
use super::item;
use super::octets::Octets;
use crate::encoding::{into_text, is_text};
use crate::message::{Data, Item, Meta};

/// The object that the device has begun, if any; there is never more than one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Objects {
    open: Option<Partial>,
    /// An object that the device began and did not end: it is told so by alert 1225.
    dropped: Option<Dropped>,
    /// The open object grew by this message.
    grew: bool,
}

/// An object that was not ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Dropped {
    /// Its address.
    pub(super) address: String,
    /// `MsgRef` and `CmdRef` of the Results that it was in.
    answers: Option<(u32, String)>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Partial {
    /// The command that carries it.
    carrier: String,
    about: Dropped,
    format: Option<String>,
    media_type: Option<String>,
    mark: Option<String>,
    /// How large it was said to be.
    #[serde(default)]
    size: Option<u64>,
    /// What has come so far; none once it is too large.
    octets: Option<Octets>,
    /// Some of it came as octets, not as text.
    #[serde(default)]
    is_opaque: bool,
    /// In how many pieces.
    #[serde(default)]
    pieces: usize,
}

impl Objects {
    /// Begins a message.
    pub(super) const fn begin_message(&mut self) {
        self.grew = false;
    }

    /// Ends a message: an object that did not grow by it will not end either.
    pub(super) fn end_message(&mut self) {
        if !self.grew {
            self.drop_open();
        }
    }

    fn drop_open(&mut self) {
        // Of one that was refused the device knows already.
        self.dropped = self.open.take().filter(|open| open.octets.is_some()).map(|open| open.about).or(self.dropped.take());
    }

    /// Whether the next piece of an object is wanted.
    pub(super) fn want_more(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.octets.is_some())
    }

    /// Whether the object whose next piece is wanted was begun in an earlier message.
    pub(super) fn go_on(&self) -> bool {
        self.want_more() && self.open.as_ref().is_some_and(|open| open.pieces > 1)
    }

    /// `MsgRef` and `CmdRef` of the Results whose object was dropped.
    pub(super) fn unanswerable(&self) -> Option<(u32, &str)> {
        let (message, command) = self.dropped.as_ref()?.answers.as_ref()?;
        Some((*message, command))
    }

    /// The object that was not ended, once.
    pub(super) const fn take_dropped(&mut self) -> Option<Dropped> {
        self.dropped.take()
    }

    /// The whole items among `items`, those that end an object completed; and 213 when a piece was kept, 413 when one was too
    /// large, 416 when it was announced so, 424 when the pieces do not add up to what was announced. `answers` are the
    /// references of a Results.
    pub(super) fn join<'i>(
        &mut self,
        carrier: &str,
        outer: &Meta,
        answers: Option<(u32, &str)>,
        items: &'i [Item],
        limit: u32,
    ) -> (Cow<'i, [Item]>, Option<StatusCode>) {
        if self.open.is_none() && !items.iter().any(|item| item.more) {
            return (Cow::Borrowed(items), None);
        }
        let mut whole = Vec::with_capacity(items.len());
        let mut code = None;
        for item in items {
            let address = item::subject(item).unwrap_or_default();
            let known = self.open.take_if(|open| open.carrier == carrier && open.about.address == address);
            self.drop_open();
            if known.is_none() && !item.more {
                whole.push(item.clone());
                continue;
            }
            let mut object = known.unwrap_or_else(|| Partial::begin(carrier, address, outer, answers, item, limit));
            self.grew |= object.append(item, limit);
            if object.octets.is_none() {
                code = Some(object.refusal(limit));
            } else if item.more {
                code = Some(StatusCode::CHUNK_ACCEPTED);
            }
            if item.more {
                self.open = Some(object);
            } else if object.is_as_announced() {
                whole.extend(object.end(item));
            } else {
                code = Some(StatusCode::SIZE_MISMATCH);
            }
        }
        (Cow::Owned(whole), code)
    }
}

impl Partial {
    fn begin(carrier: &str, address: &str, outer: &Meta, answers: Option<(u32, &str)>, item: &Item, limit: u32) -> Self {
        let meta = item.meta.or(outer);
        let fits = meta.size.is_none_or(|size| size <= u64::from(limit));
        Self {
            carrier: carrier.to_owned(),
            about: Dropped {
                address: address.to_owned(),
                answers: answers.map(|(message, command)| (message, command.to_owned())),
            },
            format: meta.format,
            media_type: meta.media_type,
            mark: meta.mark,
            size: meta.size,
            octets: fits.then(Octets::default),
            is_opaque: false,
            pieces: 0,
        }
    }

    /// The code for one that is too large: another where that was said before it came.
    fn refusal(&self, limit: u32) -> StatusCode {
        let was_announced = self.size.is_some_and(|size| size > u64::from(limit));
        if was_announced { StatusCode::SIZE_TOO_BIG } else { StatusCode::TOO_LARGE }
    }

    /// Takes a piece, and says whether there was anything in it. What is too large is forgotten, and its later pieces go unread.
    fn append(&mut self, item: &Item, limit: u32) -> bool {
        let piece: &[u8] = match &item.data {
            None => &[],
            Some(Data::Octets(octets)) => octets,
            Some(Data::Text(text)) => text.as_bytes(),
        };
        self.is_opaque |= matches!(item.data, Some(Data::Octets(_)));
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        self.pieces = self.pieces.saturating_add(1);
        let fits = |had: &Octets| had.0.len().saturating_add(piece.len()) <= room && self.pieces <= Limits::MAX_PIECES;
        self.octets = self.octets.take().filter(fits).map(|mut had| {
            had.0.extend_from_slice(piece);
            had
        });
        !piece.is_empty()
    }

    /// Whether as much has come as was announced, if anything was. Some clients count octets before they become base64.
    fn is_as_announced(&self) -> bool {
        let (Some(size), Some(octets)) = (self.size, &self.octets) else { return true };
        let length = octets.0.len();
        let padding = octets.0.iter().rev().take(2).filter(|byte| **byte == b'=').count();
        let decoded = (length / 4).saturating_mul(3).saturating_sub(padding);
        [length, decoded].into_iter().any(|length| u64::try_from(length) == Ok(size))
    }

    /// The whole item, when the last one has come. A piece may end within a character, so only the whole tells text from octets, unless its format
    /// says that it is octets.
    fn end(self, last: &Item) -> Option<Item> {
        let octets = self.octets?.0;
        let is_bin = self.format.as_deref().map(Format::lenient) == Some(Format::Bin);
        let is_octets = self.is_opaque && (is_bin || !is_text(&octets));
        let data = if is_octets { Data::Octets(octets) } else { Data::Text(into_text(octets.into())) };
        let begun = Meta { format: self.format, media_type: self.media_type, mark: self.mark, size: None };
        Some(Item {
            target: last.target.clone(),
            source: last.source.clone(),
            meta: begun.or(&last.meta),
            data: Some(data),
            more: false,
        })
    }
}
