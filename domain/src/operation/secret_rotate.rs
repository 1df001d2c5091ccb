//! Giving a device another secret.
use dmwsi_objects::{Answer, Command, NodeUri, Value, dmacc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::node_value::check_node;
use super::patience::Patience;
use super::tally::{Tally, Words};
use super::{Context, End, EndWord, Input, NodeOutcome, NodeResult, Phase, Step};
use crate::Result;
use crate::account::Secret;
use crate::evidence::Fact;
use crate::rotation::SecretNews;

/// The most accounts of a device, and the most credentials of an account, that are looked at.
const MAX_LOOKED_AT: usize = 32;

const LOCATING: Phase = Phase { name: "LOCATING", progress: 10 };

const WORDS: Words = Words {
    phase: Phase { name: "CHANGING", progress: 50 },
    all: EndWord::ROTATED,
    some: EndWord::NOT_ROTATED,
    none: EndWord::NOT_ROTATED,
};

/// Of which account the device gets another secret. The server makes the secret and tells it to nobody but the device, which proves itself by it from
/// its next session on; from the first time that it does so, the old one lets nobody in any more.
///
/// How it ends:
///
/// * `ROTATED`: the device has taken the secret.
/// * `NOT_ROTATED`: it has not, and the result says why.
/// * `CREDENTIALS_CHANGED`: it has, but meanwhile the account was given other credentials, and it is not let in by what it took.
/// * `ACCOUNT_NOT_FOUND`: the device shows no account of this server, or no credentials in it.
/// * `NO_SECRET`: refused, since the device proves itself by its certificate.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"account": "./DMAcc/dmwsi"}))]
pub struct SecretRotateRequest {
    /// The node of this server's account on the device (DMAcc). When absent it is looked for: below `./DMAcc`, or else below `./SyncML/DMAcc`, by
    /// its `ServerID`. The secret is that of its credentials with the level `CLCRED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub account: Option<NodeUri>,
}

impl SecretRotateRequest {
    pub(super) fn check(&self) -> Result<()> {
        self.account.as_ref().map_or(Ok(()), |account| check_node("/account", account))
    }
}

/// A secret that the device can be offered, and what else the operation must know of the device's account. It is handed in and never stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSecret {
    /// What the device calls this server.
    pub server_id: String,
    /// The secret; none where the device proves itself by its certificate.
    pub secret: Option<Secret>,
    /// What tells that secret from any other. It says nothing of it.
    pub mark: String,
    /// The same of the secret by which the device proves itself now.
    pub present: String,
    /// Whether it may be told now: the device has proven itself by the present one in this session, which may have begun by one before that.
    pub may_be_told: bool,
}

/// Finds the account, offers the secret, and offers the same again where the answer was lost. A device that already uses it by then has taken it. It rests
/// without a limit of its own, and the job's expiry ends it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRotate {
    version: u8,
    stage: Stage,
    #[serde(default)]
    busy: Patience,
    #[serde(skip)]
    handed: Option<NewSecret>,
    #[serde(skip)]
    news: SecretNews,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "at", rename_all = "camelCase")]
enum Stage {
    /// Which accounts are there?
    Accounts {
        /// In the place of OMA DM 1.1.
        old: bool,
    },
    /// Which of them is this server's?
    Servers { accounts: Vec<NodeUri> },
    /// Which credentials does it have?
    Credentials { account: NodeUri },
    /// Which of them are the device's?
    Levels { credentials: Vec<NodeUri> },
    /// The secret is offered.
    Secret {
        node: NodeUri,
        /// The mark of the one that was offered.
        #[serde(default)]
        offered: Option<String>,
    },
}

impl SecretRotate {
    pub(super) fn begin(request: SecretRotateRequest) -> Self {
        let stage = request.account.map_or(Stage::Accounts { old: false }, |account| Stage::Credentials { account });
        Self { version: 1, stage, busy: Patience::default(), handed: None, news: SecretNews::NONE }
    }

    pub(super) fn hand(&mut self, secret: NewSecret) {
        self.handed = Some(secret);
    }

    pub(super) const fn news(&self) -> SecretNews {
        self.news
    }

    pub(super) const fn tells_secret(&self) -> bool {
        matches!(self.stage, Stage::Secret { .. })
    }

    pub(super) fn step(&mut self, input: Input<'_>, _cx: &Context<'_>) -> Step {
        match input {
            Input::Alert(_) => Step::default(),
            // Nobody is here to hand a secret in: what was asked is asked again.
            Input::Answers(_) | Input::Turn if self.handed.is_none() => Step::rest(self.phase(), None),
            Input::Answers(answers) if self.tells_secret() => self.offered(answers),
            Input::Answers(answers) => self.located(answers),
            Input::TimedOut => Step::failed(EndWord::TIMED_OUT, None),
            Input::Turn => self.say(),
        }
    }

    /// What comes next in this session.
    fn say(&mut self) -> Step {
        let Some(handed) = &self.handed else { return Step::rest(self.phase(), None) };
        let Some(secret) = &handed.secret else {
            return Step::done(End::Refused, EndWord::NO_SECRET, "the device proves itself by its certificate".to_owned());
        };
        if let Stage::Secret { node, offered } = &mut self.stage {
            let target = node.clone();
            if offered.as_ref() == Some(&handed.present) {
                // The answer was lost, and the device has come with it.
                let result = NodeResult {
                    outcome: NodeOutcome::Done,
                    ..NodeResult::of(&Answer::unheard(Command::Replace { target, value: Value::default() }))
                };
                return Step { results: vec![result], ..Step::done(End::Succeeded, WORDS.all, None) };
            }
            if !handed.may_be_told {
                return Step::rest(WORDS.phase, None);
            }
            *offered = Some(handed.mark.clone());
            self.news.is_offered = true;
            return Step::send(WORDS.phase, vec![Command::Replace { target, value: Value::text(secret.expose()) }]);
        }
        match self.questions() {
            questions if questions.is_empty() => not_found(&[], "no node of the account can be asked for"),
            questions => Step::send(LOCATING, questions),
        }
    }

    const fn phase(&self) -> Phase {
        if self.tells_secret() { WORDS.phase } else { LOCATING }
    }

    fn questions(&self) -> Vec<Command> {
        let below = |nodes: &[NodeUri], name| nodes.iter().filter_map(|node| node.join(name).ok()).collect::<Vec<_>>();
        let nodes = match &self.stage {
            Stage::Accounts { old } => NodeUri::parse(if *old { dmacc::OLD_ROOT } else { dmacc::ROOT }).into_iter().collect(),
            Stage::Servers { accounts } => below(accounts, dmacc::SERVER_ID),
            Stage::Credentials { account } => below(std::slice::from_ref(account), dmacc::APP_AUTH),
            Stage::Levels { credentials } => below(credentials, dmacc::AUTH_LEVEL),
            Stage::Secret { .. } => Vec::new(),
        };
        nodes.into_iter().map(|target| Command::Get { target }).collect()
    }

    /// Goes on to where the device's secret is.
    fn located(&mut self, answers: &[Answer]) -> Step {
        let waits = self.busy.waits_of(answers);
        if answers.iter().any(waits) {
            return Step::rest(LOCATING, None).learned(facts(answers));
        }
        let server_id = self.handed.as_ref().map(|handed| handed.server_id.as_str()).unwrap_or_default();
        let next = match &self.stage {
            Stage::Accounts { old } => match (children(answers), old) {
                (accounts, _) if !accounts.is_empty() => Stage::Servers { accounts },
                (_, false) => Stage::Accounts { old: true },
                (_, true) => return not_found(answers, "the device shows no account"),
            },
            Stage::Servers { .. } => match holding(answers, |text| text == server_id) {
                Some(account) => Stage::Credentials { account },
                None => return not_found(answers, "none of the device's accounts is that of this server"),
            },
            Stage::Credentials { .. } => match children(answers) {
                credentials if !credentials.is_empty() => Stage::Levels { credentials },
                _ => return not_found(answers, "the account shows no credentials"),
            },
            Stage::Levels { .. } => {
                let own = holding(answers, |text| text.eq_ignore_ascii_case(dmacc::CLIENT_LEVEL));
                match own.and_then(|credentials| credentials.join(dmacc::AUTH_SECRET).ok()) {
                    Some(node) => Stage::Secret { node, offered: None },
                    None => return not_found(answers, "the account shows no credentials of the device"),
                }
            }
            Stage::Secret { .. } => return Step::default(),
        };
        self.stage = next;
        self.say()
    }

    /// What became of the offer.
    fn offered(&mut self, answers: &[Answer]) -> Step {
        let Some(answer) = answers.first() else { return Step::rest(WORDS.phase, None) };
        let outcome = NodeOutcome::of(answer.status);
        let facts = vec![Fact::answer(answer)];
        if outcome == NodeOutcome::AnswerLost {
            return Step::rest(WORDS.phase, None).learned(facts);
        }
        self.news.taken = has_taken(outcome);
        if self.busy.waits(outcome) {
            return Step::rest(WORDS.phase, None).learned(facts);
        }
        let mut tally = Tally::default();
        tally.count(outcome);
        let end = if outcome.is_success() && !self.is_current() {
            let detail = "the account was given other credentials meanwhile, and the device took those that were made before";
            Step::failed(EndWord::CREDENTIALS_CHANGED, detail.to_owned())
        } else {
            tally.end(&WORDS)
        };
        Step { results: vec![NodeResult::of(answer)], ..end }.learned(facts)
    }

    /// Whether the device is let in by what it was offered.
    fn is_current(&self) -> bool {
        let offered = match &self.stage {
            Stage::Secret { offered, .. } => offered.as_ref(),
            _ => None,
        };
        offered.is_some() && self.handed.as_ref().is_some_and(|new| [&new.mark, &new.present].map(Some).contains(&offered))
    }
}

/// The children that a Get brought of an interior node. Some clients do not say that it is one.
fn children(answers: &[Answer]) -> Vec<NodeUri> {
    let told =
        answers.iter().filter(|answer| answer.succeeded()).filter_map(|answer| Some((answer.command.target()?, answer.value()?)));
    let names = told.flat_map(|(node, value)| value.data.split('/').map(str::trim).map(move |name| (node, name)));
    names.filter(|(_, name)| !name.is_empty()).filter_map(|(node, name)| node.join(name).ok()).take(MAX_LOOKED_AT).collect()
}

/// The node above the first leaf that holds such a text.
fn holding(answers: &[Answer], is_such: impl Fn(&str) -> bool) -> Option<NodeUri> {
    let holds = |answer: &&Answer| answer.succeeded() && answer.value().is_some_and(|value| is_such(value.data.trim()));
    answers.iter().find(holds)?.command.target()?.parent()
}

fn not_found(answers: &[Answer], why: &str) -> Step {
    let results = answers.iter().filter(|answer| !answer.succeeded()).map(NodeResult::of).collect();
    Step { results, ..Step::failed(EndWord::ACCOUNT_NOT_FOUND, why.to_owned()) }.learned(facts(answers))
}

/// Those answers that say why it does not go on.
fn facts(answers: &[Answer]) -> Vec<Fact> {
    answers.iter().filter(|answer| !answer.succeeded()).map(Fact::answer).collect()
}

/// Whether a device that answers so has the secret; none where that leaves it open, as a fault on the way may come before or after it was written.
const fn has_taken(outcome: NodeOutcome) -> Option<bool> {
    use NodeOutcome as Is;
    match outcome {
        outcome if outcome.is_success() => Some(true),
        Is::AddressTooLong
        | Is::AlreadyExists
        | Is::Busy
        | Is::Cancelled
        | Is::Conflict
        | Is::Declined
        | Is::DeviceFull
        | Is::Moved
        | Is::NotAllowed
        | Is::NotExecuted
        | Is::NotFound
        | Is::NotSupported
        | Is::PermissionDenied
        | Is::ServerRefused
        | Is::TooLarge
        | Is::Unintelligible
        | Is::UnsupportedFormat => Some(false),
        _ => None,
    }
}
