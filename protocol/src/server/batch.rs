//! The commands that are outstanding.
use dmwsi_objects::{Answer, Command, NodeUri, Reading, StatusCode};
use serde::{Deserialize, Serialize};

use super::item;
use crate::encoding::{into_text, is_text};
use crate::message::{Data, Item, Results, Status};

/// The device is at it, and tells later how it ends.
const IN_PROGRESS: StatusCode = StatusCode(101);

/// The commands of one offer, sent over as many messages as they need, with what has been heard of them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Batch(Vec<Outstanding>);

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Outstanding {
    answer: Answer,
    /// `MsgID` and `CmdID` under which it was sent.
    sent: Option<(u32, u32)>,
    /// How much of its value was sent, while there is more of it to send.
    #[serde(default)]
    part: Option<usize>,
    /// The code of the Sequence that it was in, where that failed.
    #[serde(default)]
    whole: Option<StatusCode>,
}

/// What became of the attempt to put a command into a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fit {
    /// It is in.
    In,
    /// Its value is in up to here, and goes on in the next message.
    Part(usize),
    /// It must wait for the next message.
    Later,
    /// It fits into no message.
    Never,
}

impl Batch {
    pub(super) fn new(commands: Vec<Command>) -> Self {
        let fresh = |command| Outstanding { answer: Answer::unheard(command), sent: None, part: None, whole: None };
        Self(commands.into_iter().map(fresh).collect())
    }

    /// Offers what is unsent to `put`, in order and as message number `message`, until one must wait.
    ///
    /// A value that was begun goes on before anything else is sent; `put` is told how much of it was sent.
    pub(super) fn send(&mut self, message: u32, mut put: impl FnMut(&Command, usize) -> (Fit, u32)) {
        for one in self.0.iter_mut().filter(|one| one.is_unsent()) {
            match put(&one.answer.command, one.part.unwrap_or_default()) {
                (Fit::In, id) => (one.sent, one.part, one.answer.status) = (Some((message, id)), None, None),
                (Fit::Part(end), id) => {
                    (one.sent, one.part, one.answer.status) = (Some((message, id)), Some(end), None);
                    return;
                }
                (Fit::Later, _) => return,
                (Fit::Never, _) => (one.part, one.answer.status) = (None, Some(StatusCode::TOO_LARGE)),
            }
        }
    }

    /// Whether some of it has not been sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.0.iter().any(Outstanding::is_unsent)
    }

    /// Whether a value is on its way in pieces.
    pub(super) fn is_in_pieces(&self) -> bool {
        self.0.iter().any(|one| one.part.is_some())
    }

    /// Whether the device has taken a piece of a value for the whole.
    pub(super) fn has_kept_piece(&self) -> bool {
        self.0.iter().any(|one| one.answer.kept_piece)
    }

    /// The Execs that the device says it has begun, by their places.
    pub(super) fn begun(&self) -> Vec<usize> {
        let is_begun = |one: &Outstanding| matches!(one.answer.command, Command::Exec { .. }) && one.answer.succeeded();
        self.0.iter().zip(0..).filter(|(one, _)| is_begun(one)).map(|(_, place)| place).collect()
    }

    /// Whether a command sent last has no Status.
    pub(super) fn awaits(&self) -> bool {
        let last = self.last();
        self.0.iter().any(|one| one.was_in(last) && one.is_unanswered())
    }

    /// Whether a Get sent last was carried out, as its Status says, and nothing was heard of what it read.
    pub(super) fn lacks_values(&self) -> bool {
        let last = self.last();
        self.0.iter().any(|one| one.was_in(last) && one.is_get() && one.answer.succeeded() && one.answer.readings.is_empty())
    }

    /// Whether the device wants credentials before it carries out a command sent last.
    pub(super) fn is_refused(&self) -> bool {
        let last = self.last();
        self.0.iter().any(|one| one.was_in(last) && one.is_challenged())
    }

    /// Takes a Status. One for a command that was never sent is nobody's; 101 (in progress) is none yet.
    pub(super) fn hear(&mut self, status: &Status) {
        if status.code == IN_PROGRESS {
            return;
        }
        self.settle(status.message, &status.command, status.code);
        let said: Vec<_> = status.items.iter().filter_map(|item| said(item.data.as_ref()?)).collect();
        if let Some((one, None)) = self.find(status.message, &status.command)
            && matches!(one.answer.command, Command::Alert(_))
        {
            // Some clients have a Status for each thing said, and a Status may come twice.
            for text in said {
                if !one.answer.said.contains(&text) {
                    one.answer.said.push(text);
                }
            }
        }
    }

    /// Notes a code for one command or for a member of an Atomic; of several the worst counts.
    pub(super) fn settle(&mut self, message: u32, command: &str, code: StatusCode) {
        let Some((one, member)) = self.find(message, command) else { return };
        if let Some(member) = member {
            if let Some(answer) = one.answer.members.get_mut(member) {
                answer.status = Some(answer.status.map_or(code, |before| worse(before, code)));
            }
            return;
        }
        let mut code = one.answer.status.map_or(code, |before| worse(before, code));
        // A device that calls a piece the whole keeps that piece alone, since it does not know what pieces are.
        if one.part.is_some() && code != StatusCode::CHUNK_ACCEPTED {
            (one.part, one.answer.kept_piece) = (None, code.is_success());
            code = if code.is_success() { StatusCode::TOO_LARGE } else { code };
        }
        one.answer.status = Some(code);
    }

    /// Notes the code of a Sequence, which is all of that message: a failure is that of each of its commands of which nothing else is heard.
    pub(super) fn refuse(&mut self, message: u32, code: StatusCode) {
        if code.is_success() || code.is_challenge() || code == IN_PROGRESS {
            return;
        }
        for one in self.0.iter_mut().filter(|one| one.was_in(message)) {
            one.whole = Some(code);
        }
    }

    /// Gives up what is on its way in pieces: the device has dropped what it had of it.
    pub(super) fn drop_piece(&mut self) {
        for one in self.0.iter_mut().filter(|one| one.part.is_some()) {
            (one.part, one.answer.status) = (None, Some(StatusCode::SIZE_MISMATCH));
        }
    }

    /// Takes the items of a Results. Where its references lead nowhere, the node itself tells which Get is answered.
    pub(super) fn read(&mut self, results: &Results, items: &[Item]) {
        let last = self.last();
        for said in items {
            let named = item::node(item::subject(said).or(results.target.as_deref()));
            let at = self.0.iter().position(|one| one.is(results.message, &results.command) && one.is_get()).or_else(|| {
                self.0.iter().position(|one| {
                    let is_open = one.was_in(last) && one.is_get() && one.answer.readings.is_empty();
                    is_open && named.as_ref().zip(one.answer.command.target()).is_some_and(|(named, asked)| is_same(named, asked))
                })
            });
            if let Some(one) = at.and_then(|at| self.0.get_mut(at))
                && let Some(node) = asked_for(one.answer.command.target(), named)
            {
                let value = item::value(said, &results.meta);
                match item::tree(&value, one.answer.command.target().unwrap_or(&node)) {
                    Some(readings) => one.answer.readings.extend(readings),
                    None => one.answer.readings.push(Reading { node, value }),
                }
            }
        }
    }

    /// Takes back what was sent last, to a device that refused the server. An Exec, or a question to the user, stays unless the device itself
    /// says that it did not start it: it must not run twice.
    pub(super) fn requeue(&mut self) {
        let last = self.last();
        for one in self.0.iter_mut().filter(|one| one.was_in(last)) {
            let is_unheard = one.answer.status.is_none() && one.answer.members.iter().all(|member| member.status.is_none());
            if one.is_challenged() || is_unheard && one.answer.command.is_repeatable() {
                let fresh = Answer::unheard(one.answer.command.clone());
                *one = Outstanding { answer: fresh, sent: None, part: None, whole: None };
            }
        }
    }

    /// The answers in the order of the commands. What was never sent was not executed (215).
    pub(super) fn into_answers(self) -> Vec<Answer> {
        let close = |one: Outstanding| {
            let status = if one.is_unsent() { Some(StatusCode::NOT_EXECUTED) } else { one.answer.status.or(one.whole) };
            Answer { status, ..one.answer }
        };
        self.0.into_iter().map(close).collect()
    }

    /// The number of the message that carried commands last; 0 when there was none.
    fn last(&self) -> u32 {
        self.0.iter().filter_map(|one| one.sent).map(|(message, _)| message).max().unwrap_or_default()
    }

    /// What was sent under that number, and which member of it that is, unless the whole.
    fn find(&mut self, message: u32, command: &str) -> Option<(&mut Outstanding, Option<usize>)> {
        let id: u32 = command.trim().parse().ok()?;
        self.0.iter_mut().find_map(|one| {
            let (_, first) = one.sent.filter(|(sent, _)| *sent == message)?;
            let place = usize::try_from(id.checked_sub(first)?).ok()?;
            (place <= one.answer.members.len()).then(|| (one, place.checked_sub(1)))
        })
    }
}

impl Outstanding {
    fn is_unsent(&self) -> bool {
        let goes_on = self.part.is_some() && self.answer.status == Some(StatusCode::CHUNK_ACCEPTED);
        goes_on || self.sent.is_none() && self.answer.status.is_none()
    }

    fn was_in(&self, message: u32) -> bool {
        self.sent.is_some_and(|(sent, _)| sent == message)
    }

    fn is(&self, message: u32, command: &str) -> bool {
        self.sent.is_some() && self.sent == command.trim().parse().ok().map(|command| (message, command))
    }

    /// Whether its Status is missing. Some clients have none for an Atomic itself, only for its members.
    fn is_unanswered(&self) -> bool {
        let members = &self.answer.members;
        self.answer.status.is_none() && (members.is_empty() || members.iter().any(|member| member.status.is_none()))
    }

    /// Whether the device wants credentials before it does it.
    fn is_challenged(&self) -> bool {
        let members = self.answer.members.iter().filter_map(|member| member.status);
        self.answer.status.into_iter().chain(members).any(StatusCode::is_challenge)
    }

    const fn is_get(&self) -> bool {
        matches!(self.answer.command, Command::Get { .. })
    }
}

/// The worse of two codes: a failure outdoes a success, a later class (4xx, 5xx) an earlier one, and the first of equals stays.
fn worse(before: StatusCode, now: StatusCode) -> StatusCode {
    let badness = |code: StatusCode| if code.is_success() { 0 } else { code.0 / 100 + 1 };
    if badness(now) > badness(before) { now } else { before }
}

/// What a reading is of. Some clients name the bare node where they were asked for a property of it, which is not its value.
fn asked_for(asked: Option<&NodeUri>, named: Option<NodeUri>) -> Option<NodeUri> {
    let asks_property = |asked: &&NodeUri| asked.question().is_some_and(|question| question.starts_with("prop="));
    match (asked.filter(asks_property), named) {
        (Some(asked), Some(named)) if named.question().is_none() && named.is_same_node(asked) => Some(asked.clone()),
        (_, Some(named)) => Some(named),
        (_, None) => asked.cloned(),
    }
}

/// Whether both are the same question to the same node, however it is spelled.
fn is_same(one: &NodeUri, other: &NodeUri) -> bool {
    one.question() == other.question() && one.is_same_node(other)
}

/// What a user answered, as an item of a Status has it.
fn said(data: &Data) -> Option<String> {
    match data {
        Data::Text(text) => Some(text.clone()),
        Data::Octets(octets) => is_text(octets).then(|| into_text(octets.into())),
    }
}
