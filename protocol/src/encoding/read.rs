//! Reads a message out of elements, as tolerant as real clients need it.
use std::marker::PhantomData;

use dmwsi_objects::StatusCode;

use super::error::DecodeError;
use super::pull::{Content, Pull, is_text};
use super::tag::Tag;
use crate::message::{
    Alert, Challenge, Credentials, Data, Element, Group, Header, Item, Message, Meta, NodeCommand, Party, Results, Status, Verb,
};

/// Reads a whole message.
pub(crate) fn message<'a>(pull: impl Pull<'a>) -> Result<Message, DecodeError> {
    Reading { pull, bytes: PhantomData }.message()
}

struct Reading<'a, P> {
    pull: P,
    bytes: PhantomData<&'a [u8]>,
}

/// All that a Meta can say, wherever it stands.
#[derive(Default)]
struct MetInf {
    meta: Meta,
    next_nonce: Option<String>,
    max_message: Option<u32>,
    max_object: Option<u32>,
}

impl<'a, P: Pull<'a>> Reading<'a, P> {
    fn message(mut self) -> Result<Message, DecodeError> {
        if self.pull.child()? != Some(Tag::SyncMl) {
            return Err(DecodeError::Malformed { at: self.pull.at() });
        }
        let mut header = None;
        let mut message = Message::default();
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::SyncHdr => header = Some(self.header()?),
                Tag::SyncBody => self.body(&mut message)?,
                _ => self.pull.skip()?,
            }
        }
        message.header = header.ok_or(DecodeError::Missing { what: "SyncHdr", at: self.pull.at() })?;
        Ok(message)
    }

    fn header(&mut self) -> Result<Header, DecodeError> {
        let mut header = Header::default();
        let mut number = None;
        let mut meta = MetInf::default();
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::VerDtd => header.dtd = self.pull.text()?,
                Tag::VerProto => header.protocol = self.pull.text()?,
                Tag::SessionId => header.session = self.pull.text()?,
                Tag::MsgId => number = self.number()?,
                Tag::Target => header.target = self.party()?,
                Tag::Source => header.source = self.party()?,
                Tag::RespUri => header.respond_to = Some(self.pull.text()?),
                Tag::Cred => header.credentials = Some(self.credentials()?),
                Tag::Meta => self.meta(&mut meta)?,
                _ => self.pull.skip()?,
            }
        }
        let missing = |what| DecodeError::Missing { what, at: self.pull.at() };
        if header.session.is_empty() {
            return Err(missing("SessionID"));
        }
        if header.source.uri.is_empty() {
            return Err(missing("Source/LocURI"));
        }
        header.message = number.map(saturated).ok_or_else(|| missing("MsgID"))?;
        header.max_message = meta.max_message;
        header.max_object = meta.max_object;
        Ok(header)
    }

    fn party(&mut self) -> Result<Party, DecodeError> {
        let mut party = Party::default();
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::LocUri => party.uri = self.pull.text()?,
                Tag::LocName => party.name = Some(self.pull.text()?),
                _ => self.pull.skip()?,
            }
        }
        Ok(party)
    }

    fn credentials(&mut self) -> Result<Credentials, DecodeError> {
        let mut meta = MetInf::default();
        let mut data = String::new();
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::Data => data = self.pull.text()?,
                _ => self.meta_part(tag, &mut meta)?,
            }
        }
        Ok(Credentials { kind: meta.meta.media_type.unwrap_or_default(), format: meta.meta.format, data })
    }

    fn challenge(&mut self) -> Result<Challenge, DecodeError> {
        let mut meta = MetInf::default();
        self.meta(&mut meta)?;
        Ok(Challenge { kind: meta.meta.media_type.unwrap_or_default(), next_nonce: meta.next_nonce })
    }

    fn body(&mut self, message: &mut Message) -> Result<(), DecodeError> {
        while let Some(tag) = self.pull.child()? {
            if tag == Tag::Final {
                message.last = true;
                self.pull.skip()?;
            } else {
                let element = self.element(tag)?;
                message.body.push(element);
            }
        }
        Ok(())
    }

    fn element(&mut self, tag: Tag) -> Result<Element, DecodeError> {
        Ok(match tag {
            Tag::Add => Element::Command(self.command(Verb::Add)?),
            Tag::Alert => Element::Alert(self.alert()?),
            Tag::Atomic => Element::Atomic(self.group()?),
            Tag::Copy => Element::Command(self.command(Verb::Copy)?),
            Tag::Delete => Element::Command(self.command(Verb::Delete)?),
            Tag::Exec => Element::Command(self.command(Verb::Exec)?),
            Tag::Get => Element::Command(self.command(Verb::Get)?),
            Tag::Replace => Element::Command(self.command(Verb::Replace)?),
            Tag::Results => Element::Results(self.results()?),
            Tag::Sequence => Element::Sequence(self.group()?),
            Tag::Status => Element::Status(self.status()?),
            _ => self.unknown(tag)?,
        })
    }

    fn command(&mut self, verb: Verb) -> Result<NodeCommand, DecodeError> {
        let mut command = NodeCommand { id: String::new(), verb, correlator: None, meta: Meta::default(), items: Vec::new() };
        let mut meta = MetInf::default();
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::CmdId => command.id = self.pull.text()?,
                Tag::Correlator => command.correlator = Some(self.pull.text()?),
                Tag::Item => command.items.push(self.item(&meta.meta)?),
                Tag::Meta => self.meta(&mut meta)?,
                _ => self.pull.skip()?,
            }
        }
        command.meta = meta.meta;
        Ok(command)
    }

    fn group(&mut self) -> Result<Group, DecodeError> {
        let mut group = Group { id: String::new(), members: Vec::new() };
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::CmdId => group.id = self.pull.text()?,
                Tag::Meta | Tag::NoResp | Tag::Cred => self.pull.skip()?,
                _ if !tag.is_syncml() => self.pull.skip()?,
                _ => {
                    let member = self.element(tag)?;
                    group.members.push(member);
                }
            }
        }
        Ok(group)
    }

    fn alert(&mut self) -> Result<Alert, DecodeError> {
        let mut alert = Alert::default();
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::CmdId => alert.id = self.pull.text()?,
                Tag::Correlator => alert.correlator = Some(self.pull.text()?),
                Tag::Data => alert.code = self.code()?,
                Tag::Item => alert.items.push(self.item(&Meta::default())?),
                _ => self.pull.skip()?,
            }
        }
        Ok(alert)
    }

    fn status(&mut self) -> Result<Status, DecodeError> {
        let mut status = Status::default();
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::CmdId => status.id = self.pull.text()?,
                Tag::MsgRef => status.message = self.number()?.map_or(0, saturated),
                Tag::CmdRef => status.command = self.pull.text()?,
                Tag::Cmd => status.name = self.pull.text()?,
                Tag::TargetRef => status.targets.push(self.pull.text()?),
                Tag::SourceRef => status.sources.push(self.pull.text()?),
                Tag::Chal => status.challenge = Some(self.challenge()?),
                Tag::Data => status.code = StatusCode(self.code()?),
                Tag::Item => status.items.push(self.item(&Meta::default())?),
                _ => self.pull.skip()?,
            }
        }
        Ok(status)
    }

    fn results(&mut self) -> Result<Results, DecodeError> {
        let mut results = Results { message: 1, ..Results::default() };
        let mut command = None;
        let mut meta = MetInf::default();
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::CmdId => results.id = self.pull.text()?,
                Tag::MsgRef => results.message = self.number()?.map_or(1, saturated),
                Tag::CmdRef => command = Some(self.pull.text()?),
                Tag::TargetRef => results.target = Some(self.pull.text()?),
                Tag::SourceRef => results.source = Some(self.pull.text()?),
                Tag::Item => results.items.push(self.item(&meta.meta)?),
                Tag::Meta => self.meta(&mut meta)?,
                _ => self.pull.skip()?,
            }
        }
        results.command = command.unwrap_or_else(|| "1".to_owned());
        results.meta = meta.meta;
        Ok(results)
    }

    fn unknown(&mut self, tag: Tag) -> Result<Element, DecodeError> {
        let name = if tag == Tag::Other { self.pull.other() } else { tag.name() }.to_owned();
        let mut id = String::new();
        while let Some(tag) = self.pull.child()? {
            if tag == Tag::CmdId { id = self.pull.text()? } else { self.pull.skip()? }
        }
        Ok(Element::Unknown { id, name })
    }

    /// `outer` is the Meta of the command, as far as it is known.
    fn item(&mut self, outer: &Meta) -> Result<Item, DecodeError> {
        let mut item = Item::default();
        let mut meta = MetInf::default();
        let mut data = None;
        while let Some(tag) = self.pull.child()? {
            match tag {
                Tag::Target => item.target = self.location()?,
                Tag::Source => item.source = self.location()?,
                Tag::Data => data = Some(self.pull.content()?),
                Tag::MoreData => {
                    item.more = true;
                    self.pull.skip()?;
                }
                // Windows sends Type and Format beside an empty Meta.
                _ => self.meta_part(tag, &mut meta)?,
            }
        }
        item.meta = meta.meta;
        item.data = data.map(|content| {
            let format = item.meta.format.as_deref().or(outer.format.as_deref());
            match content {
                Content::Opaque(octets) if format == Some("bin") || !is_text(&octets) => Data::Octets(octets.into_owned()),
                // Without a format it may be a later piece of octets, of which none may be lost.
                Content::Opaque(octets) if format.is_none() && octets.contains(&0) => Data::Octets(octets.into_owned()),
                content => Data::Text(content.into_text()),
            }
        });
        Ok(item)
    }

    fn location(&mut self) -> Result<Option<String>, DecodeError> {
        let mut uri = None;
        while let Some(tag) = self.pull.child()? {
            if tag == Tag::LocUri { uri = Some(self.pull.text()?) } else { self.pull.skip()? }
        }
        Ok(uri)
    }

    fn meta(&mut self, meta: &mut MetInf) -> Result<(), DecodeError> {
        while let Some(tag) = self.pull.child()? {
            self.meta_part(tag, meta)?;
        }
        Ok(())
    }

    /// An element of a Meta, or a wrapper of such elements.
    fn meta_part(&mut self, tag: Tag, meta: &mut MetInf) -> Result<(), DecodeError> {
        match tag {
            Tag::Format => meta.meta.format = Some(self.pull.text()?),
            Tag::Type => meta.meta.media_type = Some(self.pull.text()?),
            Tag::Mark => meta.meta.mark = Some(self.pull.text()?),
            Tag::Size => meta.meta.size = self.number()?,
            Tag::NextNonce => meta.next_nonce = Some(self.pull.text()?),
            Tag::MaxMsgSize => meta.max_message = self.number()?.map(saturated),
            Tag::MaxObjSize => meta.max_object = self.number()?.map(saturated),
            Tag::Meta | Tag::MetInf => self.meta(meta)?,
            _ => self.pull.skip()?,
        }
        Ok(())
    }

    /// The text of an element as a number, if it is one.
    fn number(&mut self) -> Result<Option<u64>, DecodeError> {
        Ok(self.pull.text()?.parse().ok())
    }

    /// The number of an alert or a status; 0 if there is none.
    fn code(&mut self) -> Result<u16, DecodeError> {
        Ok(self.number()?.and_then(|number| u16::try_from(number).ok()).unwrap_or_default())
    }
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
