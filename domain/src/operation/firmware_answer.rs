//! What a device's answers say of its firmware.
use dmwsi_objects::fumo::State;
use dmwsi_objects::{Answer, Command, StatusCode};

use super::{End, EndWord, Next, Outcome, Step};
use crate::evidence::Fact;

/// The version that a Get brought.
pub(super) fn version_in(answer: &Answer) -> Option<String> {
    let value = answer.value().filter(|_| answer.succeeded())?;
    Some(value.data.trim().to_owned())
}

/// The state that a Get brought; none for a number that is no state.
pub(super) fn state_in(answer: &Answer) -> Option<State> {
    State::from_number(answer.value()?.data.trim().parse().ok()?)
}

/// What the answers prove.
pub(super) fn evidence(answers: &[Answer]) -> Vec<Fact> {
    let fact = |answer: &Answer| match (&answer.command, answer.value()) {
        (Command::Get { target }, Some(value)) if answer.succeeded() => {
            Fact::Read { node: target.to_string(), value: value.data.clone() }
        }
        _ => Fact::answer(answer),
    };
    answers.iter().map(fact).collect()
}

/// No State node was found at any of the places that were asked for.
pub(super) fn not_found(answers: &[Answer]) -> Step {
    match answers.iter().find(|answer| answer.status == Some(StatusCode::PERMISSION_DENIED)) {
        Some(answer) => refused(answer, false),
        None => Step::failed(EndWord::FIRMWARE_OBJECT_NOT_FOUND, "the device shows no firmware object".to_owned()),
    }
}

/// A command without which it does not go on was refused for good; `in_wrong_state` says that a 403 can only mean that the package is not there.
pub(super) fn refused(answer: &Answer, in_wrong_state: bool) -> Step {
    let status = answer.status.unwrap_or_default();
    if matches!(status, StatusCode::NOT_MODIFIED | StatusCode::CANCELLED) {
        return Step::done(End::Declined, EndWord::USER_CANCELLED, "the user declined".to_owned());
    }
    let detail = format!("the device answered {} to {} {}", status.0, answer.command.name(), answer.command.target_text());
    let code = match status {
        StatusCode::PERMISSION_DENIED => EndWord::PERMISSION_DENIED,
        StatusCode::TOO_LARGE | StatusCode::SIZE_TOO_BIG => EndWord::PACKAGE_TOO_LARGE,
        StatusCode::RETRY_LATER => EndWord::DEVICE_NOT_READY,
        StatusCode::DEVICE_FULL => EndWord::DEVICE_FULL,
        StatusCode::SIZE_MISMATCH => EndWord::PACKAGE_CORRUPTED,
        StatusCode::FORBIDDEN if in_wrong_state => EndWord::WRONG_STATE,
        _ => EndWord::COMMAND_REFUSED,
    };
    Step { next: Next::Done(Outcome { end: End::Failed, code, detail: Some(detail) }), ..Step::default() }
}
