//! Telling and asking the user of a device.
use std::fmt::Write as _;

use dmwsi_objects::{Answer, Command, Prompt, PromptKind, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::node_value::invalid;
use super::patience::Patience;
use super::{Context, End, EndWord, Input, NodeOutcome, NodeResult, Phase, Step};
use crate::evidence::Fact;
use crate::{Error, Result};

/// The longest text, in characters: some clients break off the session at a longer one.
const MAX_TEXT: usize = 1_000;

/// The most choices.
const MAX_CHOICES: usize = 32;

/// The longest choice, in characters.
const MAX_CHOICE: usize = 200;

/// The longest that a text is shown or an answer awaited, in seconds: the device is in a session all the while, and a session without a
/// message is given up, after ten minutes unless that is set otherwise. An answer that comes later is lost.
const MAX_SECONDS: u32 = 480;

const ASKING: Phase = Phase { name: "ASKING", progress: 50 };

/// What to tell or to ask the user of the device.
///
/// How it ends:
///
/// * `SHOWN`: the user was shown the text (`DISPLAY`).
/// * `CONFIRMED`: the user said yes (`CONFIRM`).
/// * `ANSWERED`: the user wrote or chose, and the result says what. Of several choices there may be none.
/// * `USER_DECLINED`: the user said no.
/// * `USER_CANCELLED`: the user cancelled.
/// * `NO_ANSWER`: the user did not answer in time.
/// * `ANSWER_MISSING`: the device says that its user answered and does not say what, or names what there was not to choose.
/// * `POSTPONED`: the device says that it will ask its user later. What comes of that nobody is told.
/// * `NOT_DISPLAYED`: the device cannot show that.
/// * Any other word of `NodeOutcome`: the device answered so, and its user nothing; `NOT_SUPPORTED` where the device shows its user nothing of that kind. With `ANSWER_LOST` the user may have been asked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"kind": "CONFIRM", "text": "Install the update now?", "maxSeconds": 60, "defaultAnswer": ["1"]}))]
pub struct UserPromptRequest {
    /// What is expected of the user.
    pub kind: UserPromptKind,
    /// The text, 1 to 1,000 characters.
    #[schema(min_length = 1, max_length = 1000)]
    pub text: String,
    /// What there is to choose from, 1 to 32 for SINGLE_CHOICE and MULTIPLE_CHOICE, none for the others. Answers count them from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 32, max_length = 200)]
    pub choices: Vec<String>,
    /// The shortest time that the text is shown, in seconds, up to eight minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 480)]
    pub min_seconds: Option<u32>,
    /// How long the device waits for the user, in seconds, up to eight minutes, which it is when absent; then the default answer counts, or
    /// there is none. The device is in a session all the while, and its session must not be given up before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 480)]
    pub max_seconds: Option<u32>,
    /// The default answer: `["1"]` for yes and `["0"]` for no, a text, or numbers of choices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 32, max_length = 1000)]
    pub default_answer: Vec<String>,
    /// The most characters of a TEXT_INPUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub max_length: Option<u32>,
    /// What kind of text a TEXT_INPUT is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<InputType>,
    /// Whether what is typed in a TEXT_INPUT is hidden, as a password is. It is a secret, and not kept: the results do not show it.
    #[serde(default)]
    pub hidden: bool,
}

/// What is expected of the user.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserPromptKind {
    /// To say yes or no.
    Confirm,
    /// To read.
    Display,
    /// To choose any number of the choices.
    MultipleChoice,
    /// To choose one.
    SingleChoice,
    /// To write a text.
    TextInput,
}

/// What kind of text is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InputType {
    /// Letters, digits and the rest.
    Alphanumeric,
    /// A day, as `DDMMYYYY`.
    Date,
    /// An address, as `xxx.yyy.zzz.www`.
    IpAddress,
    /// Digits, a point and a sign.
    Numeric,
    /// A phone number.
    Phone,
    /// A time, as `hhmmss`.
    Time,
}

impl InputType {
    const fn letter(self) -> char {
        match self {
            Self::Alphanumeric => 'A',
            Self::Date => 'D',
            Self::IpAddress => 'I',
            Self::Numeric => 'N',
            Self::Phone => 'P',
            Self::Time => 'T',
        }
    }
}

impl UserPromptKind {
    const fn kind(self) -> PromptKind {
        match self {
            Self::Confirm => PromptKind::Confirm,
            Self::Display => PromptKind::Display,
            Self::MultipleChoice => PromptKind::MultipleChoice,
            Self::SingleChoice => PromptKind::SingleChoice,
            Self::TextInput => PromptKind::TextInput,
        }
    }
}

impl UserPromptRequest {
    pub(super) fn check(&self) -> Result<()> {
        let seconds = |field: &str, value: Option<u32>| match value {
            Some(value) if !(1..=MAX_SECONDS).contains(&value) => {
                Err(Error::invalid(field, "OUT_OF_RANGE", "must be 1 to 480 seconds"))
            }
            _ => Ok(()),
        };
        if !(1..=MAX_TEXT).contains(&self.text.chars().count()) {
            return invalid("/text".to_owned(), "must have 1 to 1000 characters");
        }
        seconds("/minSeconds", self.min_seconds)?;
        seconds("/maxSeconds", self.max_seconds)?;
        if self.min_seconds > self.max_seconds && self.max_seconds.is_some() {
            return invalid("/minSeconds".to_owned(), "must not be more than maxSeconds");
        }
        let most = if self.kind.kind().has_choices() { 1..=MAX_CHOICES } else { 0..=0 };
        if !most.contains(&self.choices.len()) {
            return invalid("/choices".to_owned(), "a choice has 1 to 32 choices, anything else none");
        }
        let fits = |choice: &String| (1..=MAX_CHOICE).contains(&choice.chars().count());
        if let Some(at) = self.choices.iter().position(|choice| !fits(choice)) {
            return invalid(format!("/choices/{at}"), "must have 1 to 200 characters");
        }
        let is_text = self.kind == UserPromptKind::TextInput;
        if !is_text && (self.max_length.is_some() || self.input.is_some() || self.hidden) {
            return invalid("/kind".to_owned(), "only a TEXT_INPUT has maxLength, input or hidden");
        }
        if self.max_length.is_some_and(|length| !(1..=1_000).contains(&length)) {
            return Err(Error::invalid("/maxLength", "OUT_OF_RANGE", "must be 1 to 1000"));
        }
        self.check_default()
    }

    fn check_default(&self) -> Result<()> {
        let is_choice = |text: &String| text.parse().is_ok_and(|number: usize| (1..=self.choices.len()).contains(&number));
        let fits = match (self.kind, self.default_answer.as_slice()) {
            (_, []) => true,
            (UserPromptKind::Display, _) => false,
            (UserPromptKind::Confirm, [one]) => matches!(one.as_str(), "0" | "1"),
            (UserPromptKind::TextInput, [one]) => one.chars().count() <= MAX_TEXT,
            (UserPromptKind::SingleChoice, [one]) => is_choice(one),
            (UserPromptKind::MultipleChoice, all) => all.iter().all(is_choice),
            _ => false,
        };
        if fits { Ok(()) } else { invalid("/defaultAnswer".to_owned(), "this cannot be an answer") }
    }

    /// As it goes to the device (OMA DM Protocol 1.2, 10.3).
    fn prompt(&self) -> Prompt {
        let mut options = Vec::new();
        options.extend(self.min_seconds.map(|seconds| format!("MINDT={seconds}")));
        options.push(format!("MAXDT={}", self.max_seconds.unwrap_or(MAX_SECONDS)));
        if !self.default_answer.is_empty() {
            let answers: Vec<_> = self.default_answer.iter().map(|text| encoded(text)).collect();
            options.push(format!("DR={}", answers.join("-")));
        }
        options.extend(self.max_length.map(|length| format!("MAXLEN={length}")));
        options.extend(self.input.map(|input| format!("IT={}", input.letter())));
        if self.hidden {
            options.push("ET=P".to_owned());
        }
        Prompt { kind: self.kind.kind(), options: options.join("&"), text: self.text.clone(), choices: self.choices.clone() }
    }
}

/// A text as an option has it: a blank is `+`, and what would end the option is written by its number.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut whole, byte| {
        match byte {
            b' ' => whole.push('+'),
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'_' | b'~' => whole.push(char::from(byte)),
            // Writing to a text does not fail.
            _ => write!(whole, "%{byte:02X}").unwrap_or_default(),
        }
        whole
    })
}

/// Tells or asks the user something, once: where the answer was lost, nobody asks again. It rests without a limit of its own, and the job's
/// expiry ends it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserPrompt {
    version: u8,
    prompt: Prompt,
    /// What is typed is a secret.
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    busy: Patience,
}

impl UserPrompt {
    pub(super) fn begin(request: UserPromptRequest) -> Self {
        Self { version: 1, prompt: request.prompt(), hidden: request.hidden, busy: Patience::default() }
    }

    pub(super) fn step(&mut self, input: Input<'_>, _cx: &Context<'_>) -> Step {
        match input {
            Input::Alert(_) => Step::default(),
            Input::Answers(answers) => answers.first().map_or_else(|| Step::rest(ASKING, None), |answer| self.answered(answer)),
            Input::TimedOut => Step::failed(EndWord::TIMED_OUT, None),
            Input::Turn => Step::send(ASKING, vec![Command::Alert(self.prompt.clone())]),
        }
    }

    fn answered(&mut self, answer: &Answer) -> Step {
        let facts = vec![Fact::answer(answer)];
        let outcome = NodeOutcome::of(answer.status);
        if self.busy.waits(outcome) {
            return Step::rest(ASKING, None).learned(facts);
        }
        let said = self.said(answer);
        let step = match outcome {
            // Only 200 is the user's word: no other success code of the protocol says that anybody was asked.
            NodeOutcome::Done if answer.status != Some(StatusCode::OK) => {
                let status = answer.status.unwrap_or_default();
                Step::failed(EndWord::ANSWER_MISSING, format!("the device answered {status}, which is no answer of a user"))
            }
            NodeOutcome::Done if !self.is_answered(answer, &said) => {
                Step::failed(EndWord::ANSWER_MISSING, "the device says that its user answered, and not what".to_owned())
            }
            NodeOutcome::Done => {
                let detail = self.hidden.then(|| "what was typed is a secret, and not kept".to_owned());
                Step::done(End::Succeeded, self.word(), detail)
            }
            NodeOutcome::Started => {
                let detail = "the device will ask its user later, and has no way to tell what comes of it";
                Step::failed(EndWord::POSTPONED, detail.to_owned())
            }
            NodeOutcome::Declined => Step::done(End::Declined, EndWord::USER_DECLINED, "the user said no".to_owned()),
            NodeOutcome::Cancelled => Step::done(End::Declined, EndWord::USER_CANCELLED, "the user cancelled".to_owned()),
            NodeOutcome::TimedOut => Step::failed(EndWord::NO_ANSWER, "the user did not answer in time".to_owned()),
            NodeOutcome::NotSupported => {
                Step::failed(NodeOutcome::NotSupported, "the device shows its user nothing of that kind".to_owned())
            }
            NodeOutcome::TooLarge => Step::failed(EndWord::NOT_DISPLAYED, "the device cannot show that".to_owned()),
            NodeOutcome::AnswerLost => {
                Step::failed(NodeOutcome::AnswerLost, "the user may have been asked, and the answer was lost".to_owned())
            }
            other => Step::failed(other, format!("the device answered {}", answer.status.unwrap_or_default())),
        };
        let answers = if self.hidden { Vec::new() } else { said };
        Step { results: vec![NodeResult { answers, ..NodeResult::of(answer) }], ..step }.learned(facts)
    }

    const fn word(&self) -> EndWord {
        match self.prompt.kind {
            PromptKind::Display => EndWord::SHOWN,
            PromptKind::Confirm => EndWord::CONFIRMED,
            PromptKind::TextInput | PromptKind::SingleChoice | PromptKind::MultipleChoice => EndWord::ANSWERED,
        }
    }

    /// What the user said. Clients are known to repeat the question in the answer: only what can be an answer is one.
    fn said(&self, answer: &Answer) -> Vec<String> {
        let said = answer.said.iter();
        match self.prompt.kind {
            PromptKind::Display | PromptKind::Confirm => Vec::new(),
            PromptKind::TextInput => said.take(1).cloned().collect(),
            PromptKind::SingleChoice | PromptKind::MultipleChoice => {
                let count = self.prompt.choices.len();
                let numbers = said.flat_map(|text| text.split('-')).filter_map(|text| text.trim().parse().ok());
                let mut chosen: Vec<usize> = numbers.filter(|number| (1..=count).contains(number)).collect();
                chosen.sort_unstable();
                chosen.dedup();
                chosen.iter().map(ToString::to_string).collect()
            }
        }
    }

    /// Whether a device that says so has told what its user chose or wrote. Of several choices a user may take none, and then there is nothing to
    /// tell; what is told and is no choice is no answer.
    fn is_answered(&self, answer: &Answer, said: &[String]) -> bool {
        match self.prompt.kind {
            PromptKind::Display | PromptKind::Confirm => true,
            PromptKind::TextInput | PromptKind::SingleChoice => said.len() == 1,
            PromptKind::MultipleChoice => !said.is_empty() || answer.said.iter().all(|text| text.trim().is_empty()),
        }
    }
}
