//! Writes a message as elements, in the order of the DTD (OMA SyncML RepPro 1.2).
use super::tag::Tag;
use crate::message::{
    Alert, Challenge, Credentials, Data, Element, Group, Header, Item, Message, Meta, NodeCommand, Party, Results, Status, Verb,
};

/// Where the elements go.
pub(crate) trait Push {
    /// Whether octets stand there as base64, with a format that says so.
    const BASE64: bool;

    /// An element without content.
    fn empty(&mut self, tag: Tag);
    /// An element begins.
    fn open(&mut self, tag: Tag);
    /// The element ends.
    fn close(&mut self, tag: Tag);
    /// An element that holds a text.
    fn text(&mut self, tag: Tag, text: &str);
    /// An element that holds octets.
    fn binary(&mut self, tag: Tag, octets: &[u8]);

    /// The Data of an item.
    fn data(&mut self, data: &Data) {
        match data {
            Data::Octets(octets) => self.binary(Tag::Data, octets),
            Data::Text(text) => self.text(Tag::Data, text),
        }
    }

    /// An element that holds a number.
    fn number(&mut self, tag: Tag, number: impl ToString) {
        self.text(tag, &number.to_string());
    }

    /// An element that holds a text, if there is one.
    fn option(&mut self, tag: Tag, text: Option<&str>) {
        if let Some(text) = text {
            self.text(tag, text);
        }
    }
}

/// Writes a whole message.
pub(crate) fn message(push: &mut impl Push, message: &Message) {
    push.open(Tag::SyncMl);
    header(push, &message.header);
    push.open(Tag::SyncBody);
    for member in &message.body {
        element(push, member);
    }
    if message.last {
        push.empty(Tag::Final);
    }
    push.close(Tag::SyncBody);
    push.close(Tag::SyncMl);
}

/// Writes one element of a body.
pub(crate) fn element(push: &mut impl Push, element: &Element) {
    match element {
        Element::Alert(it) => alert(push, it),
        Element::Atomic(it) => group(push, Tag::Atomic, it),
        Element::Command(it) => command(push, it),
        Element::Results(it) => results(push, it),
        Element::Sequence(it) => group(push, Tag::Sequence, it),
        Element::Status(it) => status(push, it),
        Element::Unknown { id, name } => unknown(push, id, name),
    }
}

fn header(push: &mut impl Push, header: &Header) {
    push.open(Tag::SyncHdr);
    push.text(Tag::VerDtd, &header.dtd);
    push.text(Tag::VerProto, &header.protocol);
    push.text(Tag::SessionId, &header.session);
    push.number(Tag::MsgId, header.message);
    party(push, Tag::Target, &header.target);
    party(push, Tag::Source, &header.source);
    push.option(Tag::RespUri, header.respond_to.as_deref());
    if let Some(it) = &header.credentials {
        credentials(push, it);
    }
    if header.max_message.is_some() || header.max_object.is_some() {
        push.open(Tag::Meta);
        if let Some(size) = header.max_message {
            push.number(Tag::MaxMsgSize, size);
        }
        if let Some(size) = header.max_object {
            push.number(Tag::MaxObjSize, size);
        }
        push.close(Tag::Meta);
    }
    push.close(Tag::SyncHdr);
}

fn party(push: &mut impl Push, tag: Tag, party: &Party) {
    push.open(tag);
    push.text(Tag::LocUri, &party.uri);
    push.option(Tag::LocName, party.name.as_deref());
    push.close(tag);
}

fn credentials(push: &mut impl Push, credentials: &Credentials) {
    push.open(Tag::Cred);
    push.open(Tag::Meta);
    push.option(Tag::Format, credentials.format.as_deref());
    push.text(Tag::Type, &credentials.kind);
    push.close(Tag::Meta);
    push.text(Tag::Data, &credentials.data);
    push.close(Tag::Cred);
}

fn challenge(push: &mut impl Push, challenge: &Challenge) {
    push.open(Tag::Chal);
    push.open(Tag::Meta);
    push.text(Tag::Format, "b64");
    push.text(Tag::Type, &challenge.kind);
    push.option(Tag::NextNonce, challenge.next_nonce.as_deref());
    push.close(Tag::Meta);
    push.close(Tag::Chal);
}

fn group(push: &mut impl Push, tag: Tag, group: &Group) {
    push.open(tag);
    push.text(Tag::CmdId, &group.id);
    for member in &group.members {
        element(push, member);
    }
    push.close(tag);
}

fn command(push: &mut impl Push, command: &NodeCommand) {
    let tag = match command.verb {
        Verb::Add => Tag::Add,
        Verb::Copy => Tag::Copy,
        Verb::Delete => Tag::Delete,
        Verb::Exec => Tag::Exec,
        Verb::Get => Tag::Get,
        Verb::Replace => Tag::Replace,
    };
    push.open(tag);
    push.text(Tag::CmdId, &command.id);
    meta(push, &command.meta, command.meta.format.as_deref());
    push.option(Tag::Correlator, command.correlator.as_deref());
    items(push, &command.items);
    push.close(tag);
}

fn alert(push: &mut impl Push, alert: &Alert) {
    push.open(Tag::Alert);
    push.text(Tag::CmdId, &alert.id);
    if alert.code != 0 {
        push.number(Tag::Data, alert.code);
    }
    push.option(Tag::Correlator, alert.correlator.as_deref());
    items(push, &alert.items);
    push.close(Tag::Alert);
}

fn status(push: &mut impl Push, status: &Status) {
    push.open(Tag::Status);
    push.text(Tag::CmdId, &status.id);
    push.number(Tag::MsgRef, status.message);
    push.text(Tag::CmdRef, &status.command);
    push.text(Tag::Cmd, &status.name);
    for target in &status.targets {
        push.text(Tag::TargetRef, target);
    }
    for source in &status.sources {
        push.text(Tag::SourceRef, source);
    }
    if let Some(it) = &status.challenge {
        challenge(push, it);
    }
    push.number(Tag::Data, status.code.0);
    items(push, &status.items);
    push.close(Tag::Status);
}

fn results(push: &mut impl Push, results: &Results) {
    push.open(Tag::Results);
    push.text(Tag::CmdId, &results.id);
    push.number(Tag::MsgRef, results.message);
    push.text(Tag::CmdRef, &results.command);
    meta(push, &results.meta, results.meta.format.as_deref());
    push.option(Tag::TargetRef, results.target.as_deref());
    push.option(Tag::SourceRef, results.source.as_deref());
    items(push, &results.items);
    push.close(Tag::Results);
}

/// Only a command that SyncML knows has a token, and a name sure to be well formed; another is left out.
fn unknown(push: &mut impl Push, id: &str, name: &str) {
    let tag = Tag::from_name(name.as_bytes());
    if tag.is_syncml() {
        push.open(tag);
        push.text(Tag::CmdId, id);
        push.close(tag);
    }
}

fn items<P: Push>(push: &mut P, items: &[Item]) {
    for item in items {
        push.open(Tag::Item);
        location(push, Tag::Target, item.target.as_deref());
        location(push, Tag::Source, item.source.as_deref());
        let octets = matches!(item.data, Some(Data::Octets(_)));
        let format = if octets && P::BASE64 { Some("b64") } else { item.meta.format.as_deref() };
        meta(push, &item.meta, format);
        if let Some(data) = &item.data {
            push.data(data);
        }
        if item.more {
            push.empty(Tag::MoreData);
        }
        push.close(Tag::Item);
    }
}

fn location(push: &mut impl Push, tag: Tag, uri: Option<&str>) {
    if let Some(uri) = uri {
        push.open(tag);
        push.text(Tag::LocUri, uri);
        push.close(tag);
    }
}

fn meta(push: &mut impl Push, meta: &Meta, format: Option<&str>) {
    if meta.is_empty() && format.is_none() {
        return;
    }
    push.open(Tag::Meta);
    push.option(Tag::Format, format);
    push.option(Tag::Type, meta.media_type.as_deref());
    push.option(Tag::Mark, meta.mark.as_deref());
    if let Some(size) = meta.size {
        push.number(Tag::Size, size);
    }
    push.close(Tag::Meta);
}
